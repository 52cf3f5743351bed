<?php

declare(strict_types=1);

use RoomService\ApiException;
use RoomService\Client;
use RoomService\ConnectionException;
use RoomService\Sign;
use RoomService\Webhook;
use RoomService\WebhookException;

// Runs against a server, without a test library, so that the package needs none.
spl_autoload_register(static function (string $class): void {
    require __DIR__ . '/../src/' . substr($class, strlen('RoomService\\')) . '.php';
});
set_error_handler(static function (int $kind, string $message, string $file, int $line): bool {
    if (error_reporting() & $kind) {
        throw new ErrorException($message, 0, $kind, $file, $line);
    }
    return true;
});

[$url, $door, $key] = [getenv('SERVER_URL'), getenv('DOOR_URL'), getenv('OPERATOR_KEY')];
[$app, $secretKey] = [(int) getenv('SDK_APP_ID'), getenv('SECRET_KEY')];
$api = new Client($url, $key);

function same(mixed $found, mixed $wanted): void
{
    if ($found !== $wanted) {
        throw new Exception(var_export($found, true) . ' instead of ' . var_export($wanted, true));
    }
}

/**
 * @template E of Throwable
 * @param class-string<E> $wanted
 * @return E
 */
function fails(string $wanted, callable $step): Throwable
{
    try {
        $step();
    } catch (Throwable $e) {
        return $e instanceof $wanted ? $e : throw $e;
    }
    throw new Exception("no $wanted");
}

function refused(int $status, string $code, callable $step): void
{
    $e = fails(ApiException::class, $step);
    same([$e->status, $e->errorCode], [$status, $code]);
}

/** A call of the room protocol, as clients make it. */
function weapp(string $call, array $query, array $body = []): array
{
    $context = stream_context_create(['http' => [
        'method' => 'POST',
        'header' => 'Content-Type: application/json',
        'content' => json_encode((object) $body),
    ]]);
    $text = file_get_contents(getenv('SERVER_URL') . "/weapp/live_room/$call?" . http_build_query($query), false, $context);
    return json_decode($text, true);
}

function logIn(string $user, string $sig): array
{
    return weapp('login', ['sdkAppID' => getenv('SDK_APP_ID'), 'accountType' => 0, 'userID' => $user, 'userSig' => $sig]);
}

$tests = [
    'a room from its beginning to its end' => static function () use ($api, $app, $secretKey): void {
        $room = $api->createRoom(kind: 'live', roomID: 'php', info: '晚上好');
        same([$room['roomID'], $room['info'], $room['members']], ['php', '晚上好', []]);
        $user = 'php-' . hrtime(true);
        $session = logIn($user, Sign::userSig($user, $app, $secretKey));
        $loggedIn = ['userID' => $user, 'token' => $session['token']];
        $entry = ['roomID' => 'php', 'userID' => $user];
        $entry['pushURL'] = weapp('get_push_url', $loggedIn, $entry)['pushURL'];
        same(weapp('add_pusher', $loggedIn, $entry)['code'], 0);
        $changed = $api->updateRoom('php', info: 'late', custom: ['likes' => 3]);
        same([$changed['info'], $changed['custom']], ['late', ['likes' => 3]]);
        same($api->updateRoom('php', custom: [])['custom'], ['likes' => 3]);
        same(in_array('php', array_column($api->listRooms(kind: 'live', limit: 200)['rooms'], 'roomID'), true), true);
        same(array_column($api->listMembers('php'), 'userID'), [$user]);
        $api->kickUser('php', $user, seconds: 60, idempotencyKey: "kick-$user");
        $api->kickUser('php', $user, seconds: 60, idempotencyKey: "kick-$user");
        // Its only member is out, and so the room is closed.
        refused(404, 'no_room', static fn () => $api->listMembers('php'));
    },
    'a key makes a request happen once' => static function () use ($api): void {
        $api->createRoom(kind: 'live', roomID: 'php-once');
        $send = static fn (string $text) => $api->sendMessage('php-once', userID: 'ada', text: $text, idempotencyKey: 'php-1');
        same($send('hi'), $send('hi'));
        same(count($api->listMessages('php-once')['messages']), 1);
        refused(409, 'key_reused', static fn () => $send('another'));
        $ban = $api->banUserInRoom('php-once', 'bob', seconds: 600, reason: 'spam', idempotencyKey: 'php-2');
        same([$ban['userID'], $ban['roomID'], $ban['reason']], ['bob', 'php-once', 'spam']);
        same($api->banUser('php-nobody')['userID'], 'php-nobody');
        $api->unbanUser('php-nobody');
        $api->unbanUserInRoom('php-once', 'bob');
        fails(InvalidArgumentException::class, static fn () => $api->closeRoom('php-once', idempotencyKey: "key\n"));
    },
    'names may hold anything' => static function () use ($api): void {
        foreach (['php/a?b%c#d', 'php..', 'php+&='] as $name) {
            $api->createRoom(kind: 'multi', roomID: $name);
            same($api->getRoom($name)['roomID'], $name);
        }
        foreach (['', '.', '..'] as $name) {
            fails(InvalidArgumentException::class, static fn () => $api->closeRoom($name));
        }
    },
    'a recording is read as it comes' => static function () use ($api): void {
        $file = $api->getRecordingFile(getenv('RECORDING'));
        same(strlen(stream_get_contents($file)), (int) getenv('RECORDING_SIZE'));
        refused(404, 'no_recording', static fn () => $api->getRecordingFile('1_no_such.1.mp4'));
    },
    'what may be sent again is' => static function () use ($api, $door, $key): void {
        $shaky = new Client($door, $key);
        $api->createRoom(kind: 'live', roomID: 'php-door');
        same($shaky->getRoom('php-door')['roomID'], 'php-door');
        same($shaky->sendNotice('php-door', text: 'soon', idempotencyKey: 'php-3')['rooms'], 1);
        same($shaky->sendNotice('php-door', text: 'soon', idempotencyKey: 'running-php')['rooms'], 1);
        $wait = static fn () => $shaky->sendNotice('php-door', text: 'soon', idempotencyKey: 'wait-php');
        same(fails(ApiException::class, $wait)->retryAfter, 3600);
        $e = fails(ApiException::class, static fn () => $shaky->sendNotice('php-door', text: 'soon'));
        same([$e->errorCode, $e->retryAfter], ['unavailable', 0]);
        fails(ConnectionException::class, static fn () => $shaky->sendNotice('php-door', text: 'soon'));
        fails(ApiException::class, static fn () => (new Client($door, $key, retries: 0))->listRecords());
    },
    'the server takes a userSig' => static function () use ($app, $secretKey): void {
        same(logIn('carol', Sign::userSig('carol', $app, $secretKey))['userID'], 'carol');
        same(logIn('carol', Sign::userSig('carol', $app, 'another'))['code'], 7);
        same(logIn('carol', Sign::userSig('carol', $app, $secretKey, now: 1_000_000))['code'], 7);
        fails(InvalidArgumentException::class, static fn () => Sign::userSig("carol\nTLS.sdkappid:1", $app, $secretKey));
    },
    'a session of the API is good' => static function () use ($api): void {
        $session = $api->createSession(userID: 'carol');
        same(weapp('get_room_list', ['userID' => 'carol', 'token' => $session['token']], ['cnt' => 1, 'index' => 0])['code'], 0);
    },
    'a key or token that is not good is refused' => static function () use ($url, $key): void {
        $other = Sign::operatorToken('another key', ['roomList' => true]);
        $over = Sign::operatorToken($key, ['roomList' => true], now: 1_000_000);
        foreach (['not-a-key-of-this-server', $other, $over] as $bad) {
            refused(401, 'unauthorised', static fn () => (new Client($url, $bad))->listRooms());
            refused(401, 'unauthorised', static fn () => (new Client($url, $bad))->createRoom(kind: 'live'));
        }
    },
    'a token allows what it grants' => static function () use ($url, $key): void {
        $some = new Client($url, Sign::operatorToken($key, ['roomList' => true]));
        same(array_key_exists('rooms', $some->listRooms()), true);
        same(fails(ApiException::class, static fn () => $some->createRoom(kind: 'live'))->status, 403);
    },
    'webhooks are read, or refused' => static function (): void {
        [$body, $signature, $secret] = [getenv('WEBHOOK_BODY'), getenv('WEBHOOK_SIGNATURE'), getenv('WEBHOOK_SECRET')];
        $event = Webhook::read($body, $signature, $secret);
        same([$event['event'], $event['roomID']], ['room_created', 'tea']);
        $now = (int) substr($signature, 2);
        $forged = [
            [str_replace('tea', 'tee', $body), $signature, $secret],
            [$body, $signature, 'another secret'],
            [$body, null, $secret],
            [$body, str_replace('t=', 't=1', $signature), $secret],
            [$body, substr($signature, 0, -2), $secret],
            [$body, "$signature\n", $secret],
            [$body, $signature, $secret, 300, $now + 301],
            [$body, $signature, $secret, 300, $now - 301],
        ];
        foreach ($forged as $one) {
            fails(WebhookException::class, static fn () => Webhook::read(...$one));
        }
        same(Webhook::read($body, $signature, $secret, now: $now + 299), $event);
    },
];

foreach ($tests as $name => $test) {
    try {
        $test();
    } catch (Throwable $e) {
        echo "$name: $e\n";
        exit(1);
    }
}
