"""What is signed with keys that the backend has: nobody is asked."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .client import Grants


def user_sig(user_id: str, sdk_app_id: int, secret_key: str, *, lifetime: int = 86400, now: int | None = None) -> str:
    """What a client logs in with: a userSig of version 2, as Tencent's tls-sig-api-v2 makes it.

    secret_key: `im.secretKey`, as it stands in the settings.
    lifetime: seconds for which it is good.
    """
    if not re.fullmatch(r"[!#-&(-_a-~]{1,64}", user_id):
        raise ValueError("user_id: 1 to 64 of printable ASCII without spaces and quotes")
    if not secret_key:
        raise ValueError("secret_key is empty")
    now = int(time.time()) if now is None else now
    signed = f"TLS.identifier:{user_id}\nTLS.sdkappid:{sdk_app_id}\nTLS.time:{now}\nTLS.expire:{lifetime}\n"
    mac = hmac.new(secret_key.encode(), signed.encode(), hashlib.sha256)
    members = {
        "TLS.ver": "2.0",
        "TLS.identifier": user_id,
        "TLS.sdkappid": sdk_app_id,
        "TLS.expire": lifetime,
        "TLS.time": now,
        "TLS.sig": base64.b64encode(mac.digest()).decode(),
    }
    packed = base64.b64encode(zlib.compress(json.dumps(members).encode())).decode()
    return packed.translate(str.maketrans("+/=", "*-_"))


def operator_token(key: str, grants: Grants, *, lifetime: int = 3600, now: int | None = None) -> str:
    """A short token for the operator API, signed with an operator's key: `grants` are those of docs/api.md.

    lifetime: seconds, a day at most.
    """
    if not key:
        raise ValueError("key is empty")
    now = int(time.time()) if now is None else now
    claims = {"exp": now + lifetime, "video": grants}
    signed = f"{_encode({'alg': 'HS256', 'typ': 'JWT'})}.{_encode(claims)}"
    mac = hmac.new(key.encode(), signed.encode(), hashlib.sha256)
    return f"{signed}.{_base64url(mac.digest())}"


def _encode(value: object) -> str:
    return _base64url(json.dumps(value, separators=(",", ":")).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
