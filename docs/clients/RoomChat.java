import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.net.http.WebSocketHandshakeException;
import java.util.Map;
import java.util.concurrent.*;
import java.util.regex.*;

/**
 * Chat of RoomService for a native app, in the place of its IMMessageMgr (docs/clients/android.md). Needs nothing but the JDK.
 * Frames are handed on as they come: read them with the app's JSON library.
 */
public final class RoomChat implements WebSocket.Listener {
    public interface Listener {
        void onFrame(String type, String json);   // message, direct, system, count, out
        void onEnded(int code, String reason);    // no new attempt is made: log in again, or tell the user
    }

    private static final HttpClient HTTP = HttpClient.newHttpClient();
    private final ScheduledExecutorService later = Executors.newSingleThreadScheduledExecutor();
    private final Map<Long, CompletableFuture<String>> waiting = new ConcurrentHashMap<>();
    private final Map<String, long[]> rooms = new ConcurrentHashMap<>(); // room: epoch and number of its newest message
    private final StringBuilder partial = new StringBuilder();
    private final String url;
    private final Listener listener;
    private CompletableFuture<WebSocket> socket; // of the last send: one at a time
    private volatile WebSocket open;
    private long ids, direct, pause = 500;
    private String nick = "";
    private boolean closed;

    /** server: wss://rooms.example.com; user and token: of the rooms' login. */
    public RoomChat(String server, String user, String token, Listener listener) {
        url = server + "/ws?userID=" + user + "&token=" + token;
        this.listener = listener;
        connect();
        later.scheduleWithFixedDelay(this::beat, 25, 25, TimeUnit.SECONDS);
    }

    private synchronized void connect() {
        if (closed) return;
        socket = HTTP.newWebSocketBuilder().buildAsync(URI.create(direct == 0 ? url : url + "&since=" + direct), this);
        socket.whenComplete((ws, why) -> {
            // A refused upgrade is an HTTP status: 403 log in again, 421 the chat is at Tencent's. 429 and 503 pass.
            Throwable cause = why instanceof CompletionException ? why.getCause() : why;
            int status = cause instanceof WebSocketHandshakeException refused ? refused.getResponse().statusCode() : 0;
            if (why != null) lost(status >= 400 && status < 429 ? 4500 : 1006, why + " (" + status + ")");
        });
        if (!nick.isEmpty()) nick(nick);
        rooms.forEach((room, at) -> enter(room, ",\"since\":{\"epoch\":" + at[0] + ",\"seq\":" + at[1] + "}")
            .exceptionally(why -> { missed(room, why.toString()); return null; }));
    }

    /** What ended while there was no connection is told as if it ended now. */
    private void missed(String room, String why) {
        String at = "\"room\":" + quoted(room);
        if (why.contains("\"no_room\"")) frame("{\"type\":\"system\"," + at + ",\"notice\":\"destroyed\"}");
        if (why.contains("\"banned\"")) frame("{\"type\":\"out\"," + at + ",\"reason\":\"banned\"}");
    }

    /** A path that died says nothing: who answers no ping is lost. */
    private void beat() {
        WebSocket at = open;
        if (at == null) return;
        ask("ping", "").orTimeout(10, TimeUnit.SECONDS).exceptionally(why -> {
            if (why instanceof TimeoutException && at == open) { at.abort(); lost(1006, "no answer to a ping"); }
            return null;
        });
    }

    private synchronized void lost(int code, String reason) {
        open = null;
        partial.setLength(0);
        waiting.values().forEach(answer -> answer.completeExceptionally(new RuntimeException("the connection was lost")));
        waiting.clear();
        if (code >= 4500) { close(); listener.onEnded(code, reason); }
        else if (!closed) later.schedule(this::connect, pause = Math.min(pause * 2, 30_000), TimeUnit.MILLISECONDS);
    }

    /** Completes with the ack, or fails with the error frame: {"code", "message"}. */
    private synchronized CompletableFuture<String> ask(String type, String fields) {
        long id = ++ids;
        var answer = new CompletableFuture<String>();
        waiting.put(id, answer);
        String frame = "{\"type\":\"" + type + "\",\"id\":" + id + fields + "}";
        socket = socket.thenCompose(ws -> ws.sendText(frame, true));
        socket.exceptionally(why -> { answer.completeExceptionally(why); return null; });
        return answer;
    }

    private CompletableFuture<String> enter(String room, String since) {
        return ask("join", ",\"room\":" + quoted(room) + since).thenApply(ack -> {
            long[] before = rooms.get(room);
            long seq = before == null ? number(ack, "last") : ack.contains("\"anew\":true") ? 0 : before[1];
            rooms.put(room, new long[] {number(ack, "epoch"), seq});
            return ack;
        });
    }

    public CompletableFuture<String> join(String room) { return enter(room, ""); }
    public CompletableFuture<String> nick(String nick) { return ask("nick", ",\"nick\":" + quoted(this.nick = nick)); }
    /** As every client of the family writes it: who speaks in a custom element, and the text. */
    public CompletableFuture<String> text(String room, String nickName, String headPic, String text) {
        String head = "{\"nickName\":" + quoted(nickName) + ",\"headPic\":" + quoted(headPic) + "}";
        return ask("send", ",\"room\":" + quoted(room) + ",\"body\":["
            + element("TIMCustomElem", "Data", "{\"cmd\":\"CustomTextMsg\",\"data\":" + head + "}") + ","
            + element("TIMTextElem", "Text", text) + "]");
    }
    /** data: the JSON text that the old clients put into a custom message, such as {"cmd":"CustomCmdMsg","data":{…}}. */
    public CompletableFuture<String> custom(String room, String data) {
        return ask("send", ",\"room\":" + quoted(room) + ",\"custom\":{\"data\":" + quoted(data) + "}");
    }
    /** Co-anchoring and PK: {"cmd":"linkmic","data":{…}}, {"cmd":"pk","data":{…}}. */
    public CompletableFuture<String> direct(String user, String data) {
        return ask("direct", ",\"to\":" + quoted(user) + ",\"custom\":{\"data\":" + quoted(data) + "}");
    }
    public CompletableFuture<String> quit(String room) { rooms.remove(room); return ask("quit", ",\"room\":" + quoted(room)); }
    public synchronized void close() {
        closed = true;
        later.shutdown();
        socket.thenAccept(ws -> ws.sendClose(WebSocket.NORMAL_CLOSURE, ""));
    }

    @Override public CompletionStage<?> onText(WebSocket ws, CharSequence data, boolean last) {
        if (ws != open) return null;
        partial.append(data);
        if (last) { frame(partial.toString()); partial.setLength(0); }
        ws.request(1);
        return null;
    }
    @Override public void onOpen(WebSocket ws) { open = ws; ws.request(1); }
    @Override public CompletionStage<?> onClose(WebSocket ws, int code, String reason) {
        if (ws == open) lost(code, reason);
        return null;
    }
    @Override public void onError(WebSocket ws, Throwable why) { if (ws == open) lost(1006, why.toString()); }

    private void frame(String json) {
        String type = word(json, "type"), room = word(json, "room");
        switch (type) {
            case "welcome" -> { pause = 500; if (direct == 0) direct = number(json, "direct"); }
            case "ack" -> waiting.remove(number(json, "id")).complete(json);
            case "error" -> waiting.remove(number(json, "id")).completeExceptionally(new RuntimeException(json));
            default -> {
                if (type.equals("direct")) direct = number(json, "seq");
                else if (rooms.containsKey(room) && json.contains("\"seq\":")) rooms.get(room)[1] = number(json, "seq");
                boolean gone = type.equals("system") && !word(json, "notice").equals("custom");
                if (gone || type.equals("out")) rooms.remove(room);
                listener.onFrame(type, json);
            }
        }
    }

    // The server's own fields stand before anything that a user wrote; an app has a JSON library for this.
    private static long number(String json, String name) { return Long.parseLong(find(json, name, "(\\d+)")); }
    private static String word(String json, String name) { return find(json, name, "\"([^\"]*)\""); }
    private static String find(String json, String name, String value) {
        Matcher found = Pattern.compile("\"" + name + "\":" + value).matcher(json);
        return found.find() ? found.group(1) : "";
    }
    private static String element(String type, String field, String text) {
        return "{\"MsgType\":\"" + type + "\",\"MsgContent\":{\"" + field + "\":" + quoted(text) + "}}";
    }
    private static String quoted(String text) {
        var out = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') out.append('\\').append(c);
            else if (c < ' ') out.append(String.format("\\u%04x", (int) c));
            else out.append(c);
        }
        return out.append('"').toString();
    }
}
