<?php

declare(strict_types=1);

namespace RoomService;

/** What is signed with keys that the backend has: nobody is asked. */
final class Sign
{
    /**
     * What a client logs in with: a userSig of version 2, as Tencent's tls-sig-api-v2 makes it.
     *
     * @param string $secretKey `im.secretKey`, as it stands in the settings
     * @param int $lifetime seconds for which it is good
     */
    public static function userSig(
        string $userID,
        int $sdkAppID,
        #[\SensitiveParameter] string $secretKey,
        int $lifetime = 86_400,
        ?int $now = null,
    ): string {
        if (!preg_match('/^[!#-&(-_a-~]{1,64}$/D', $userID)) {
            throw new \InvalidArgumentException('userID: 1 to 64 of printable ASCII without spaces and quotes');
        }
        if ($secretKey === '') {
            throw new \InvalidArgumentException('secretKey is empty');
        }
        $now ??= time();
        $signed = "TLS.identifier:$userID\nTLS.sdkappid:$sdkAppID\nTLS.time:$now\nTLS.expire:$lifetime\n";
        $members = [
            'TLS.ver' => '2.0',
            'TLS.identifier' => $userID,
            'TLS.sdkappid' => $sdkAppID,
            'TLS.expire' => $lifetime,
            'TLS.time' => $now,
            'TLS.sig' => base64_encode(hash_hmac('sha256', $signed, $secretKey, true)),
        ];
        return strtr(base64_encode(gzcompress(json_encode($members, JSON_THROW_ON_ERROR))), '+/=', '*-_');
    }

    /**
     * A short token for the operator API, signed with an operator's key.
     *
     * @param array<string, bool|string> $grants those of docs/api.md
     * @param int $lifetime seconds, a day at most
     */
    public static function operatorToken(
        #[\SensitiveParameter] string $key,
        array $grants,
        int $lifetime = 3600,
        ?int $now = null,
    ): string {
        if ($key === '') {
            throw new \InvalidArgumentException('key is empty');
        }
        $claims = ['exp' => ($now ?? time()) + $lifetime, 'video' => (object) $grants];
        $signed = self::encode('{"alg":"HS256","typ":"JWT"}') . '.' . self::encode(json_encode($claims, JSON_THROW_ON_ERROR));
        return $signed . '.' . self::encode(hash_hmac('sha256', $signed, $key, true));
    }

    private static function encode(string $bytes): string
    {
        return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
    }
}
