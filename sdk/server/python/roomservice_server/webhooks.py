"""Webhooks: whether they are the server's, and what they say."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from typing import Any


class WebhookError(Exception):
    """A request that is not from the server, or too old. Answer it with 401."""


def read_webhook(
    body: bytes, signature: str | None, secret: str, *, tolerance: float = 300, now: float | None = None
) -> dict[str, Any]:
    """The event of a webhook: docs/webhooks.md has the members of each. Raises WebhookError.

    body: what came, byte by byte.
    signature: the header X-RoomService-Signature.
    secret: `webhooks.secret`.
    tolerance: how many seconds its time may be from now.
    """
    if not secret:
        raise ValueError("secret is empty")
    fields = re.fullmatch(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})", signature or "")
    if not fields:
        raise WebhookError("there is no signature")
    moment, given = fields.groups()
    expected = hmac.new(secret.encode(), moment.encode() + b"." + body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(given, expected):
        raise WebhookError("the signature is another one")
    if abs((time.time() if now is None else now) - int(moment)) > tolerance:
        raise WebhookError("the time is too far from now")
    event: dict[str, Any] = json.loads(body)
    return event
