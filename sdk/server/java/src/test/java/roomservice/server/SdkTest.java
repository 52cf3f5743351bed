package roomservice.server;

import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Collectors;

/** Runs against a server, with {@code java -ea}: without a test library, so that the package needs none. */
final class SdkTest {
    private static final Map<String, String> ENV = System.getenv();
    private static final String URL = ENV.get("SERVER_URL");
    private static final String DOOR = ENV.get("DOOR_URL");
    private static final String KEY = ENV.get("OPERATOR_KEY");
    private static final long APP = Long.parseLong(ENV.get("SDK_APP_ID"));
    private static final String SECRET_KEY = ENV.get("SECRET_KEY");
    private static final Client API = new Client(URL, KEY);

    private interface Step {
        void run() throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        aRoomFromItsBeginningToItsEnd();
        aKeyMakesARequestHappenOnce();
        namesMayHoldAnything();
        aRecordingIsReadAsItComes();
        whatMayBeSentAgainIs();
        theServerTakesAUserSig();
        aSessionOfTheApiIsGood();
        aKeyOrTokenThatIsNotGoodIsRefused();
        aTokenAllowsWhatItGrants();
        webhooksAreReadOrRefused();
        jsonIsReadAndWritten();
    }

    private static void same(Object found, Object wanted) {
        if (!Objects.equals(found, wanted)) {
            throw new AssertionError(found + " instead of " + wanted);
        }
    }

    private static <E extends Exception> E fails(Class<E> wanted, Step step) throws Exception {
        try {
            step.run();
        } catch (Exception e) {
            if (wanted.isInstance(e)) {
                return wanted.cast(e);
            }
            throw e;
        }
        throw new AssertionError("no " + wanted.getSimpleName());
    }

    private static void refused(int status, String code, Step step) throws Exception {
        ApiException e = fails(ApiException.class, step);
        same(List.of(e.status(), e.code()), List.of(status, code));
    }

    /** A call of the room protocol, as clients make it. */
    private static Map<?, ?> weapp(String call, Map<String, String> query, Map<String, Object> body) throws Exception {
        String text = query.entrySet().stream()
            .map(one -> one.getKey() + "=" + URLEncoder.encode(one.getValue(), StandardCharsets.UTF_8))
            .collect(Collectors.joining("&"));
        HttpRequest request = HttpRequest.newBuilder(URI.create(URL + "/weapp/live_room/" + call + "?" + text))
            .POST(BodyPublishers.ofString(Json.write(body))).build();
        return (Map<?, ?>) Json.read(HttpClient.newHttpClient().send(request, BodyHandlers.ofString()).body());
    }

    private static Map<?, ?> logIn(String user, String secretKey, Duration lifetime) throws Exception {
        String sig = Sign.userSig(user, APP, secretKey, lifetime);
        return weapp("login", Map.of("sdkAppID", "" + APP, "accountType", "0", "userID", user, "userSig", sig), Map.of());
    }

    private static void aRoomFromItsBeginningToItsEnd() throws Exception {
        Room room = API.createRoom(new NewRoom(RoomKind.LIVE).roomID("java").info("晚上好"));
        same(List.of(room.roomID(), room.info(), room.members()), List.of("java", "晚上好", List.of()));
        String user = "java-" + System.nanoTime();
        String token = (String) logIn(user, SECRET_KEY, Duration.ofHours(1)).get("token");
        Map<String, String> loggedIn = Map.of("userID", user, "token", token);
        Object pushURL = weapp("get_push_url", loggedIn, Map.of("roomID", "java", "userID", user)).get("pushURL");
        same(weapp("add_pusher", loggedIn, Map.of("roomID", "java", "userID", user, "pushURL", pushURL)).get("code"), 0L);
        Room changed = API.updateRoom("java", new Change().info("").custom(Map.of("likes", 3)));
        same(List.of(changed.info(), changed.custom()), List.of("", Map.of("likes", 3L)));
        RoomPage rooms = API.listRooms(new ListRoomsQuery().kind(RoomKind.LIVE).limit(200));
        same(rooms.rooms().stream().anyMatch(one -> one.roomID().equals("java")), true);
        same(API.listMembers("java").stream().map(Member::userID).toList(), List.of(user));
        for (int n = 0; n < 2; n++) {
            API.kickUser("java", user, new KickUserQuery().seconds(60L), "kick-" + user);
        }
        // Its only member is out, and so the room is closed.
        refused(404, "no_room", () -> API.listMembers("java"));
    }

    private static void aKeyMakesARequestHappenOnce() throws Exception {
        API.createRoom(new NewRoom(RoomKind.LIVE).roomID("java-once"));
        SentMessage first = API.sendMessage("java-once", new NewMessage("ada", "hi"), "java-1");
        same(API.sendMessage("java-once", new NewMessage("ada", "hi"), "java-1"), first);
        same(API.listMessages("java-once").messages().size(), 1);
        refused(409, "key_reused", () -> API.sendMessage("java-once", new NewMessage("ada", "another"), "java-1"));
        Ban ban = API.banUserInRoom("java-once", "bob", new Measure().seconds(600L).reason("spam"), "java-2");
        same(List.of(ban.userID(), ban.roomID(), ban.reason()), List.of("bob", "java-once", "spam"));
        API.unbanUserInRoom("java-once", "bob");
        fails(IllegalArgumentException.class, () -> API.closeRoom("java-once", "not a key"));
    }

    private static void namesMayHoldAnything() throws Exception {
        for (String name : List.of("java/a?b%c#d", "java..", "java+&=")) {
            API.createRoom(new NewRoom(RoomKind.MULTI).roomID(name));
            same(API.getRoom(name).roomID(), name);
        }
        for (String name : List.of("", ".", "..")) {
            fails(IllegalArgumentException.class, () -> API.closeRoom(name));
        }
    }

    private static void aRecordingIsReadAsItComes() throws Exception {
        try (InputStream file = API.getRecordingFile(ENV.get("RECORDING"))) {
            same(file.readAllBytes().length, Integer.parseInt(ENV.get("RECORDING_SIZE")));
        }
        refused(404, "no_recording", () -> API.getRecordingFile("1_no_such.1.mp4"));
    }

    private static void whatMayBeSentAgainIs() throws Exception {
        Client shaky = new Client(DOOR, KEY);
        API.createRoom(new NewRoom(RoomKind.LIVE).roomID("java-door"));
        same(shaky.getRoom("java-door").roomID(), "java-door");
        same(shaky.sendNotice("java-door", new Notice("soon"), "java-3").rooms(), 1);
        same(shaky.sendNotice("java-door", new Notice("soon"), "running-java").rooms(), 1);
        ApiException asked = fails(ApiException.class, () -> shaky.sendNotice("java-door", new Notice("soon"), "wait-java"));
        same(asked.retryAfter().getAsInt(), 3600);
        ApiException e = fails(ApiException.class, () -> shaky.sendNotice("java-door", new Notice("soon")));
        same(List.of(e.code(), e.retryAfter().getAsInt()), List.of("unavailable", 0));
        IOException cut = fails(IOException.class, () -> shaky.sendNotice("java-door", new Notice("soon")));
        same(cut instanceof ApiException, false);
        shaky.retries(0, Duration.ZERO);
        refused(503, "unavailable", () -> shaky.listRecordings());
    }

    private static void theServerTakesAUserSig() throws Exception {
        same(logIn("carol", SECRET_KEY, Duration.ofHours(1)).get("userID"), "carol");
        same(logIn("carol", "another", Duration.ofHours(1)).get("code"), 7L);
        same(logIn("carol", SECRET_KEY, Duration.ofHours(-1)).get("code"), 7L);
        fails(IllegalArgumentException.class, () -> Sign.userSig("carol\nTLS.sdkappid:1", APP, SECRET_KEY, Duration.ofHours(1)));
    }

    private static void aSessionOfTheApiIsGood() throws Exception {
        Session session = API.createSession(new Who("carol"));
        Map<String, String> query = Map.of("userID", "carol", "token", session.token());
        same(weapp("get_room_list", query, Map.of("cnt", 1, "index", 0)).get("code"), 0L);
    }

    private static void aKeyOrTokenThatIsNotGoodIsRefused() throws Exception {
        Grants grants = new Grants().roomList(true);
        String other = Sign.operatorToken("another key", grants, Duration.ofHours(1));
        String over = Sign.operatorToken(KEY, grants, Duration.ofHours(-1));
        for (String bad : List.of("not-a-key-of-this-server", other, over)) {
            refused(401, "unauthorised", () -> new Client(URL, bad).listRooms());
            refused(401, "unauthorised", () -> new Client(URL, bad).createRoom(new NewRoom(RoomKind.LIVE)));
        }
    }

    private static void aTokenAllowsWhatItGrants() throws Exception {
        Client some = new Client(URL, Sign.operatorToken(KEY, new Grants().roomList(true), Duration.ofHours(1)));
        some.listRooms();
        same(fails(ApiException.class, () -> some.createRoom(new NewRoom(RoomKind.LIVE))).status(), 403);
    }

    private static void webhooksAreReadOrRefused() throws Exception {
        String body = ENV.get("WEBHOOK_BODY");
        String signature = ENV.get("WEBHOOK_SIGNATURE");
        String secret = ENV.get("WEBHOOK_SECRET");
        Webhook event = Webhook.read(Sign.bytes(body), signature, secret);
        same(List.of(event.event(), event.roomID()), List.of("room_created", "tea"));
        fails(Webhook.Forged.class, () -> Webhook.read(Sign.bytes(body.replace("tea", "tee")), signature, secret));
        fails(Webhook.Forged.class, () -> Webhook.read(Sign.bytes(body), signature, "another secret"));
        String longer = signature.replace("t=", "t=1");
        String shorter = signature.substring(0, signature.length() - 2);
        for (String other : new String[] {null, "", longer, shorter}) {
            fails(Webhook.Forged.class, () -> Webhook.read(Sign.bytes(body), other, secret));
        }
        Instant sent = Instant.ofEpochSecond(Long.parseLong(signature.substring(2, signature.indexOf(','))));
        for (long seconds : new long[] {301, -301}) {
            fails(Webhook.Forged.class, () -> Webhook.read(Sign.bytes(body), signature, secret, sent.plusSeconds(seconds)));
        }
        same(Webhook.read(Sign.bytes(body), signature, secret, sent.plusSeconds(299)), event);
    }

    private static void jsonIsReadAndWritten() throws Exception {
        String text = "{\"a\":[1,-2.5,true,null,{}],\"b\":\"\\\"\\\\\\u0001\u665a\ud83d\ude00\"}";
        same(Json.write(Json.read(" " + text.replace(",", " , ") + "\n")), text);
        same(Json.read("\"\\u665a\\n\\/\""), "\u665a\n/");
        same(Json.read("1e3"), 1000.0);
        String deep = "[".repeat(1000) + "]".repeat(1000);
        for (String wrong : List.of("", "{", "[1,]", "{\"a\"}", "\"", "\"\\x\"", "tru", "1 2", "--1", "{,}", deep)) {
            fails(IllegalArgumentException.class, () -> Json.read(wrong));
        }
    }
}
