import java.net.URI;
import java.net.http.*;
import java.util.List;
import java.util.concurrent.*;
import java.util.regex.*;

/** Runs docs/clients/RoomChat.java against a server: two users in a room, a server that is killed and started again, a session that ends. */
public final class RoomChatRun {
    private static final HttpClient HTTP = HttpClient.newHttpClient();
    private static String base;

    public static void main(String[] args) {
        base = args[0];
        try {
            run();
            System.out.println("all right");
            System.exit(0);
        } catch (Throwable why) {
            why.printStackTrace(System.out);
            System.exit(1); // Chats that wait for their server would keep this alive.
        }
    }

    private static void run() throws Exception {
        String alices = token("alice"), bobs = token("bob"), query = "?userID=alice&token=" + alices;
        String room = "{\"userID\":\"alice\",\"roomID\":\"tea\",\"roomInfo\":\"tea\",";
        String push = field(call("get_anchor_url" + query, room + "\"x\":0}"), "pushURL");
        call("create_room" + query, room + "\"x\":0}");
        call("add_anchor" + query, room + "\"pushURL\":\"" + push + "\"}");

        var alice = new User("alice", alices);
        var bob = new User("bob", bobs);
        wait(alice.chat.join("tea"));
        wait(bob.chat.join("tea"));
        wait(alice.chat.text("tea", "Alice", "a.png", "say \"tea\"\n茶"));
        bob.sees("message", "nickName\\\":\\\"Alice", "say \\\"tea\\\"");
        wait(alice.chat.custom("tea", "{\"cmd\":\"CustomCmdMsg\"}"));
        bob.sees("message", "TIMCustomElem", "CustomCmdMsg");
        wait(bob.chat.direct("alice", "{\"cmd\":\"linkmic\"}"));
        alice.sees("direct", "\"from\":\"bob\"", "linkmic");
        List<CompletableFuture<String>> many = new java.util.ArrayList<>();
        for (int i = 0; i < 30; i++) many.add(bob.chat.text("tea", "Bob", "", "number " + i));
        for (var one : many) wait(one);
        alice.sees("message", "number 29");
        try {
            wait(bob.chat.text("nowhere", "Bob", "", "hello?"));
            throw new AssertionError("a room that is not there took a text");
        } catch (ExecutionException refused) {
            check(refused.getMessage().contains("no_room"), refused.getMessage());
        }

        String gone = "{\"userID\":\"alice\",\"roomID\":\"gone\",\"roomInfo\":\"gone\",";
        String goner = field(call("get_anchor_url" + query, gone + "\"x\":0}"), "pushURL");
        call("create_room" + query, gone + "\"x\":0}");
        call("add_anchor" + query, gone + "\"pushURL\":\"" + goner + "\"}");
        wait(bob.chat.join("gone"));

        System.out.println("restart"); // The script does, and says so.
        check(System.in.read() >= 0, "the server was started again");
        // What ends before the connection is back is told when it is.
        call("destroy_room" + query, "{\"userID\":\"alice\",\"roomID\":\"gone\"}");
        bob.sees("system", "\"room\":\"gone\"", "destroyed");
        // What is asked while there is no connection fails; the app asks again.
        for (int left = 40; ; left--) {
            try {
                wait(alice.chat.text("tea", "Alice", "", "back again"));
                break;
            } catch (ExecutionException lost) {
                check(left > 0, "alice came back: " + lost);
                Thread.sleep(250);
            }
        }
        bob.sees("message", "back again");

        call("destroy_room" + query, "{\"userID\":\"alice\",\"roomID\":\"tea\"}");
        bob.sees("system", "destroyed");
        call("logout" + query, "");
        alice.sees("ended", "4501");
        new User("alice", alices).sees("ended", "4500", "403");
    }

    /** A user's chat with all that it was told. */
    private static final class User implements RoomChat.Listener {
        final BlockingQueue<String> seen = new LinkedBlockingQueue<>();
        final RoomChat chat;

        User(String name, String token) { chat = new RoomChat(base.replaceFirst("http", "ws"), name, token, this); }
        @Override public void onFrame(String type, String json) { seen.add(type + " " + json); }
        @Override public void onEnded(int code, String reason) { seen.add("ended " + code + " " + reason); }

        void sees(String type, String... parts) throws Exception {
            for (String next; (next = seen.poll(20, TimeUnit.SECONDS)) != null; ) {
                if (next.startsWith(type + " ") && java.util.Arrays.stream(parts).allMatch(next::contains)) return;
            }
            throw new AssertionError("nobody said " + type + " " + String.join(", ", parts));
        }
    }

    private static String wait(CompletableFuture<String> answer) throws Exception { return answer.get(10, TimeUnit.SECONDS); }
    private static void check(boolean holds, String what) { if (!holds) throw new AssertionError(what); }

    private static String token(String user) throws Exception {
        String sig = field(send(HttpRequest.newBuilder(URI.create(base + "/weapp/utils/get_login_info?userID=" + user)).GET()), "userSig");
        return field(call("login?sdkAppID=1400000000&platform=Android&userID=" + user + "&userSig=" + sig, ""), "token");
    }
    private static String call(String path, String body) throws Exception {
        String answer = send(HttpRequest.newBuilder(URI.create(base + "/weapp/live_room/" + path)).POST(HttpRequest.BodyPublishers.ofString(body)));
        check(answer.startsWith("{\"code\":0,"), path.split("\\?")[0] + ": " + answer);
        return answer;
    }
    private static String send(HttpRequest.Builder request) throws Exception {
        return HTTP.send(request.build(), HttpResponse.BodyHandlers.ofString()).body();
    }
    private static String field(String json, String name) {
        Matcher found = Pattern.compile("\"" + name + "\":\"([^\"]*)\"").matcher(json);
        check(found.find(), name + " is missing: " + json);
        return found.group(1);
    }
}
