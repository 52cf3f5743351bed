package roomservice.server;

import java.io.IOException;
import java.util.OptionalInt;

/** What the server refused. */
public final class ApiException extends IOException {
    private static final long serialVersionUID = 1;

    private final int status;
    private final String code;
    private final int retryAfter;

    ApiException(int status, String code, String message, int retryAfter) {
        super(message);
        this.status = status;
        this.code = code;
        this.retryAfter = retryAfter;
    }

    /** The HTTP status. */
    public int status() {
        return status;
    }

    /** For programs; empty where a proxy answered. The message is for people. */
    public String code() {
        return code;
    }

    /** Seconds after which it may be tried again, where the server said so. */
    public OptionalInt retryAfter() {
        return retryAfter < 0 ? OptionalInt.empty() : OptionalInt.of(retryAfter);
    }

    /**
     * Whether it may go well a little later. 502 and 504: what a proxy answers while the server starts again. {@code running}: the
     * same request, sent before, is still being done.
     */
    boolean passes() {
        return status == 429 || status == 502 || status == 503 || status == 504 || code.equals("running");
    }
}
