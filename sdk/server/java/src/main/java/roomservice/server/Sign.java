package roomservice.server;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.zip.DeflaterOutputStream;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/** What is signed with keys that the backend has: nobody is asked. */
public final class Sign {
    private Sign() {}

    /**
     * What a client logs in with: a userSig of version 2, as Tencent's tls-sig-api-v2 makes it.
     * @param secretKey {@code im.secretKey}, as it stands in the settings
     */
    public static String userSig(String userID, long sdkAppID, String secretKey, Duration lifetime) {
        if (!userID.matches("[!#-&(-_a-~]{1,64}")) {
            throw new IllegalArgumentException("userID: 1 to 64 of printable ASCII without spaces and quotes");
        }
        long now = Instant.now().getEpochSecond();
        long expire = lifetime.toSeconds();
        String signed = "TLS.identifier:" + userID + "\nTLS.sdkappid:" + sdkAppID + "\nTLS.time:" + now + "\nTLS.expire:" + expire + "\n";
        Map<String, Object> members = new LinkedHashMap<>();
        members.put("TLS.ver", "2.0");
        members.put("TLS.identifier", userID);
        members.put("TLS.sdkappid", sdkAppID);
        members.put("TLS.expire", expire);
        members.put("TLS.time", now);
        members.put("TLS.sig", Base64.getEncoder().encodeToString(hmac(secretKey, bytes(signed))));
        ByteArrayOutputStream packed = new ByteArrayOutputStream();
        try (DeflaterOutputStream deflater = new DeflaterOutputStream(packed)) {
            deflater.write(bytes(Json.write(members)));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        String base64 = Base64.getEncoder().encodeToString(packed.toByteArray());
        return base64.replace('+', '*').replace('/', '-').replace('=', '_');
    }

    /** A short token for the operator API, signed with an operator's key; a day at most. */
    public static String operatorToken(String key, Grants grants, Duration lifetime) {
        Map<String, Object> claims = Map.of("exp", Instant.now().plus(lifetime).getEpochSecond(), "video", grants);
        Base64.Encoder encoder = Base64.getUrlEncoder().withoutPadding();
        String signed = encoder.encodeToString(bytes("{\"alg\":\"HS256\",\"typ\":\"JWT\"}")) + "." + encoder.encodeToString(bytes(Json.write(claims)));
        return signed + "." + encoder.encodeToString(hmac(key, bytes(signed)));
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static byte[] hmac(String key, byte[]... parts) {
        if (key == null || key.isEmpty()) {
            throw new IllegalArgumentException("the key is empty");
        }
        try {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(bytes(key), "HmacSHA256"));
            for (byte[] part : parts) {
                mac.update(part);
            }
            return mac.doFinal();
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("every Java has HmacSHA256", e);
        }
    }
}
