<?php

declare(strict_types=1);

namespace RoomService;

/** Webhooks: whether they are the server's, and what they say. */
final class Webhook
{
    /**
     * The event of a request: docs/webhooks.md has the members of each.
     *
     * @param string $body what came, byte by byte: `file_get_contents('php://input')`
     * @param string|null $signature the header X-RoomService-Signature: `$_SERVER['HTTP_X_ROOMSERVICE_SIGNATURE'] ?? null`
     * @param string $secret `webhooks.secret`
     * @param int $tolerance how many seconds its time may be from now
     * @return array<string, mixed>
     * @throws WebhookException
     */
    public static function read(
        string $body,
        ?string $signature,
        #[\SensitiveParameter] string $secret,
        int $tolerance = 300,
        ?int $now = null,
    ): array {
        if ($secret === '') {
            throw new \InvalidArgumentException('secret is empty');
        }
        if (!preg_match('/^t=(\d{1,12}),v1=([0-9a-f]{64})$/D', $signature ?? '', $fields)) {
            throw new WebhookException('there is no signature');
        }
        [, $time, $given] = $fields;
        if (!hash_equals(hash_hmac('sha256', "$time.$body", $secret), $given)) {
            throw new WebhookException('the signature is another one');
        }
        if (abs(($now ?? time()) - (int) $time) > $tolerance) {
            throw new WebhookException('the time is too far from now');
        }
        return json_decode($body, true, 512, JSON_THROW_ON_ERROR);
    }
}
