<?php

declare(strict_types=1);

namespace RoomService;

/** Sends requests. GET, and what has an idempotencyKey, is sent again when the server is away for a moment. */
abstract class Transport
{
    protected const ROOT = '';

    private readonly string $server;

    /**
     * @param string $server as in `https://live.example.com`
     * @param string|null $key an operator's key or token
     * @param float $timeout seconds without a byte after which a request has failed
     * @param int $retries how often a request is sent again
     * @param float $longestWait seconds; a server that asks for a longer pause is not tried again
     */
    public function __construct(
        string $server,
        #[\SensitiveParameter] private readonly ?string $key = null,
        private readonly float $timeout = 15,
        private readonly int $retries = 3,
        private readonly float $longestWait = 10,
    ) {
        if (!preg_match('#^https?://#', $server)) {
            throw new \InvalidArgumentException("'$server' is no address of a server");
        }
        if ($key !== null && !preg_match('/^[!-~]+$/D', $key)) {
            throw new \InvalidArgumentException('the key has characters that no key has');
        }
        $this->server = rtrim($server, '/');
    }

    /** A part of a path, which may hold anything. What would lead to another path is refused. */
    protected static function segment(string $text): string
    {
        if (in_array($text, ['', '.', '..'], true)) {
            throw new \InvalidArgumentException("'$text' cannot stand in a path");
        }
        return rawurlencode($text);
    }

    /**
     * @param array<string, mixed> $query
     * @param array<string, mixed>|null $body
     */
    protected function call(
        string $method,
        string $path,
        array $query = [],
        ?array $body = null,
        ?string $idempotencyKey = null,
        bool $binary = false,
    ): mixed {
        $url = $this->server . static::ROOT . $path;
        $query = array_filter($query, static fn ($value) => $value !== null);
        if ($query !== []) {
            $url .= '?' . http_build_query($query, '', '&', PHP_QUERY_RFC3986);
        }
        $context = $this->context($method, $body, $idempotencyKey);
        $again = $method === 'GET' || $idempotencyKey !== null ? $this->retries : 0;
        for ($attempt = 0;; $attempt++) {
            $wait = 0.25 * 2 ** $attempt * random_int(500, 1000) / 1000;
            try {
                return $this->once($url, $context, $binary);
            } catch (ApiException $e) {
                $wait = $e->retryAfter ?? $wait;
                if (!$e->passes() || $attempt >= $again || $wait > $this->longestWait) {
                    throw $e;
                }
            } catch (ConnectionException $e) {
                if ($attempt >= $again || $wait > $this->longestWait) {
                    throw $e;
                }
            }
            usleep((int) ($wait * 1_000_000));
        }
    }

    /**
     * @param array<string, mixed>|null $body
     * @return resource
     */
    private function context(string $method, ?array $body, ?string $idempotencyKey)
    {
        $headers = ['Accept: application/json', 'Connection: close'];
        if ($this->key !== null) {
            $headers[] = "Authorization: Bearer $this->key";
        }
        if ($idempotencyKey !== null) {
            if (!preg_match('/^[A-Za-z0-9_-]{1,255}$/D', $idempotencyKey)) {
                throw new \InvalidArgumentException('an idempotencyKey is 1 to 255 of A-Z a-z 0-9 - _');
            }
            $headers[] = "Idempotency-Key: $idempotencyKey";
        }
        $content = '';
        if ($body !== null) {
            $headers[] = 'Content-Type: application/json';
            $given = (object) array_filter($body, static fn ($value) => $value !== null);
            $content = json_encode($given, JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES);
        }
        return stream_context_create(['http' => [
            'method' => $method,
            'header' => $headers,
            'content' => $content,
            'protocol_version' => 1.1,
            'timeout' => $this->timeout,
            'ignore_errors' => true,
            // A redirection would carry the key elsewhere.
            'follow_location' => 0,
        ]]);
    }

    /** @param resource $context */
    private function once(string $url, $context, bool $binary): mixed
    {
        $stream = @fopen($url, 'rb', false, $context);
        if ($stream === false) {
            throw new ConnectionException(error_get_last()['message'] ?? 'the server cannot be reached');
        }
        $headers = stream_get_meta_data($stream)['wrapper_data'] ?? [];
        $status = preg_match('#^HTTP/\S+ (\d{3})#', $headers[0] ?? '', $found) ? (int) $found[1] : 0;
        if ($binary && $status >= 200 && $status < 300) {
            return $stream;
        }
        $text = stream_get_contents($stream);
        $cut = $text === false || stream_get_meta_data($stream)['timed_out'];
        fclose($stream);
        if ($cut || $status === 0 || strlen($text) < (int) self::header($headers, 'Content-Length')) {
            throw new ConnectionException('the answer was cut off');
        }
        if ($status < 200 || $status >= 300) {
            throw self::refused($status, $headers, $text);
        }
        try {
            return $text === '' ? null : json_decode($text, true, 512, JSON_THROW_ON_ERROR);
        } catch (\JsonException $e) {
            throw new ConnectionException('the answer was cut off, or is not the server\'s', 0, $e);
        }
    }

    /** @param list<string> $headers */
    private static function header(array $headers, string $name): ?string
    {
        foreach ($headers as $header) {
            if (stripos($header, "$name:") === 0) {
                return trim(substr($header, strlen($name) + 1));
            }
        }
        return null;
    }

    /** @param list<string> $headers */
    private static function refused(int $status, array $headers, string $text): ApiException
    {
        // A proxy's page is no problem of ours.
        $problem = json_decode($text, true);
        $problem = is_array($problem) ? $problem : [];
        $wait = self::header($headers, 'Retry-After');
        $seconds = $wait !== null && preg_match('/^\d{1,9}$/D', $wait) ? (int) $wait : null;
        return new ApiException($status, $problem['code'] ?? '', $problem['detail'] ?? "HTTP $status", $seconds);
    }
}
