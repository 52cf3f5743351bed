package roomservice.server;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Duration;
import java.time.Instant;
import java.util.HexFormat;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What happened.
 * @param id the same when it comes twice; ids of one room grow
 * @param event its kind, as {@code room_created}
 * @param time Unix milliseconds
 * @param roomID the room, or null
 * @param userID the user, or null
 * @param members all that the body has, these too
 */
public record Webhook(String id, String event, long time, String roomID, String userID, Map<String, Object> members) {
    /** How far the time of a request may be from now. */
    public static final Duration TOLERANCE = Duration.ofMinutes(5);

    private static final Pattern SIGNATURE = Pattern.compile("t=([0-9]{1,12}),v1=([0-9a-f]{64})");

    /** A request that is not from the server, or too old. Answer it with 401. */
    public static final class Forged extends Exception {
        private static final long serialVersionUID = 1;

        Forged(String message) {
            super(message);
        }
    }

    /**
     * The event of a request.
     * @param body what came, byte by byte
     * @param signature the header {@code X-RoomService-Signature}
     * @param secret {@code webhooks.secret}
     */
    public static Webhook read(byte[] body, String signature, String secret) throws Forged {
        return read(body, signature, secret, Instant.now());
    }

    @SuppressWarnings("unchecked")
    static Webhook read(byte[] body, String signature, String secret, Instant now) throws Forged {
        Matcher fields = SIGNATURE.matcher(signature == null ? "" : signature);
        if (!fields.matches()) {
            throw new Forged("there is no signature");
        }
        byte[] expected = Sign.hmac(secret, Sign.bytes(fields.group(1) + "."), body);
        if (!MessageDigest.isEqual(expected, HexFormat.of().parseHex(fields.group(2)))) {
            throw new Forged("the signature is another one");
        }
        Instant sent = Instant.ofEpochSecond(Long.parseLong(fields.group(1)));
        if (Duration.between(sent, now).abs().compareTo(TOLERANCE) > 0) {
            throw new Forged("the time is too far from now");
        }
        Map<String, Object> members = (Map<String, Object>) Json.read(new String(body, StandardCharsets.UTF_8));
        long time = members.get("time") instanceof Number number ? number.longValue() : 0;
        return new Webhook(text(members, "id"), text(members, "event"), time, text(members, "roomID"), text(members, "userID"), members);
    }

    private static String text(Map<String, Object> members, String name) {
        return members.get(name) instanceof String text ? text : null;
    }
}
