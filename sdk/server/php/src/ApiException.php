<?php

declare(strict_types=1);

namespace RoomService;

/** What the server refused. `errorCode` is for programs, and empty where a proxy answered; the message is for people. */
final class ApiException extends \RuntimeException
{
    public function __construct(
        public readonly int $status,
        public readonly string $errorCode,
        string $message,
        /** Seconds after which it may be tried again, where the server said so. */
        public readonly ?int $retryAfter = null,
    ) {
        parent::__construct($message, $status);
    }

    /**
     * Whether it may go well a little later. 502 and 504: what a proxy answers while the server starts again. `running`: the same
     * request, sent before, is still being done.
     */
    public function passes(): bool
    {
        return \in_array($this->status, [429, 502, 503, 504], true) || $this->errorCode === 'running';
    }
}
