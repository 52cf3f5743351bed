<?php

declare(strict_types=1);

namespace RoomService;

/** The server cannot be reached, or its answer was cut off. */
final class ConnectionException extends \RuntimeException
{
}
