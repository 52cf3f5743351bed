<?php

declare(strict_types=1);

namespace RoomService;

/** A request that is not from the server, or too old. Answer it with 401. */
final class WebhookException extends \RuntimeException
{
}
