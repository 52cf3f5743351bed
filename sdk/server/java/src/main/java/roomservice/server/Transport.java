package roomservice.server;

import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.net.http.HttpTimeoutException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.Collectors;

/** Sends requests. GET, and what has an Idempotency-Key, is sent again when the server is away for a moment. */
abstract class Transport {
    // It follows no redirection: that would carry the key elsewhere.
    private final HttpClient http = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(10)).build();
    private final String base;
    private final String key;
    private volatile Duration timeout = Duration.ofSeconds(15);
    private volatile int retries = 3;
    private volatile Duration longestWait = Duration.ofSeconds(10);

    Transport(String server, String root, String key) {
        this.base = server.replaceAll("/+$", "") + root;
        this.key = key;
    }

    /** How long an answer may take; 15 seconds without this. */
    public final void timeout(Duration timeout) {
        this.timeout = timeout;
    }

    /**
     * How often a request is sent again, and the longest pause before that: a server that asks for more is not tried again.
     * Without this: three times, and ten seconds.
     */
    public final void retries(int retries, Duration longestWait) {
        this.retries = retries;
        this.longestWait = longestWait;
    }

    /** A part of a path, which may hold anything. What would lead to another path is refused. */
    static String segment(String text) {
        if (text == null || text.isEmpty() || text.equals(".") || text.equals("..")) {
            throw new IllegalArgumentException("\"" + text + "\" cannot stand in a path");
        }
        return encode(text);
    }

    private static String encode(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8).replace("+", "%20");
    }

    final <T> T call(Class<T> answer, String method, String path, Arguments query, Arguments body, String idempotencyKey)
        throws IOException, InterruptedException {
        String text = text(method, path, query, body, idempotencyKey);
        return answer == Void.class ? null : answer.cast(Json.as(answer, parsed(text)));
    }

    final <T> List<T> list(Class<T> one, String method, String path, Arguments query, Arguments body, String idempotencyKey)
        throws IOException, InterruptedException {
        Object found = parsed(text(method, path, query, body, idempotencyKey));
        return found instanceof List<?> list ? list.stream().map(value -> one.cast(Json.as(one, value))).toList() : List.of();
    }

    final InputStream open(String path) throws IOException, InterruptedException {
        HttpRequest request = request("GET", path, null, null, null);
        return repeat(true, () -> {
            HttpResponse<InputStream> response = http.send(request, BodyHandlers.ofInputStream());
            if (isWell(response)) {
                return response.body();
            }
            try (InputStream body = response.body()) {
                throw refused(response, new String(body.readNBytes(1 << 20), StandardCharsets.UTF_8));
            }
        });
    }

    private static Object parsed(String text) throws IOException {
        try {
            return Json.read(text);
        } catch (IllegalArgumentException e) {
            throw new IOException("the server's answer is no JSON", e);
        }
    }

    private String text(String method, String path, Arguments query, Arguments body, String idempotencyKey)
        throws IOException, InterruptedException {
        HttpRequest request = request(method, path, query, body, idempotencyKey);
        return repeat(method.equals("GET") || idempotencyKey != null, () -> {
            HttpResponse<String> response = bounded(http.sendAsync(request, BodyHandlers.ofString(StandardCharsets.UTF_8)));
            if (isWell(response)) {
                return response.body();
            }
            throw refused(response, response.body());
        });
    }

    private HttpRequest request(String method, String path, Arguments query, Arguments body, String idempotencyKey) {
        String place = base + path;
        if (query != null && !query.values().isEmpty()) {
            place += query.values().entrySet().stream()
                .map(one -> one.getKey() + "=" + encode(one.getValue().toString()))
                .collect(Collectors.joining("&", "?", ""));
        }
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(place))
            .timeout(timeout)
            .header("Accept", "application/json")
            .method(method, body == null ? BodyPublishers.noBody() : BodyPublishers.ofString(Json.write(body)));
        if (body != null) {
            request.header("Content-Type", "application/json");
        }
        if (key != null) {
            request.header("Authorization", "Bearer " + key);
        }
        if (idempotencyKey != null) {
            if (!idempotencyKey.matches("[A-Za-z0-9_-]{1,255}")) {
                throw new IllegalArgumentException("an Idempotency-Key is 1 to 255 of A-Z a-z 0-9 - _");
            }
            request.header("Idempotency-Key", idempotencyKey);
        }
        return request.build();
    }

    private interface Attempt<T> {
        T make() throws IOException, InterruptedException;
    }

    private <T> T repeat(boolean mayRepeat, Attempt<T> attempt) throws IOException, InterruptedException {
        int again = mayRepeat ? retries : 0;
        for (int number = 0;; number++) {
            long wait = (long) ((250L << number) * ThreadLocalRandom.current().nextDouble(0.5, 1));
            try {
                return attempt.make();
            } catch (ApiException e) {
                if (e.retryAfter().isPresent()) {
                    wait = e.retryAfter().getAsInt() * 1000L;
                }
                if (!e.passes() || number >= again || wait > longestWait.toMillis()) {
                    throw e;
                }
            } catch (IOException e) {
                if (number >= again || wait > longestWait.toMillis()) {
                    throw e;
                }
            }
            Thread.sleep(wait);
        }
    }

    /** Waits for a whole answer: a request's own timeout ends with the head of it. */
    private <T> T bounded(CompletableFuture<T> coming) throws IOException, InterruptedException {
        try {
            return coming.get(timeout.toMillis(), TimeUnit.MILLISECONDS);
        } catch (TimeoutException e) {
            coming.cancel(true);
            throw new HttpTimeoutException("no answer within " + timeout);
        } catch (ExecutionException e) {
            throw new IOException(String.valueOf(e.getCause()), e.getCause());
        }
    }

    private static boolean isWell(HttpResponse<?> response) {
        return response.statusCode() >= 200 && response.statusCode() < 300;
    }

    private static ApiException refused(HttpResponse<?> response, String text) {
        String code = "";
        String message = "HTTP " + response.statusCode();
        try {
            // A proxy's page is no problem of ours.
            if (Json.read(text) instanceof Map<?, ?> problem && problem.get("code") instanceof String known) {
                code = known;
                message = String.valueOf(problem.get("detail"));
            }
        } catch (IllegalArgumentException e) {
            // The same.
        }
        String wait = response.headers().firstValue("Retry-After").orElse("");
        return new ApiException(response.statusCode(), code, message, wait.matches("[0-9]{1,9}") ? Integer.parseInt(wait) : -1);
    }
}
