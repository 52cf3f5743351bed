"""Requests: sent, sent again, and their answers read."""

from __future__ import annotations

import http.client
import json
import random
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any


class ApiError(Exception):
    """What the server refused: `status` is HTTP's, `code` is for programs, `message` for people."""

    def __init__(self, status: int, code: str, message: str, retry_after: int | None = None):
        super().__init__(f"{status} {code}: {message}" if code else message)
        self.status = status
        self.code = code
        self.message = message
        # Seconds after which it may be tried again, where the server said so.
        self.retry_after = retry_after

    def passes(self) -> bool:
        """Whether it may go well a little later. 502 and 504: what a proxy answers while the server starts again. `running`: the
        same request, sent before, is still being done."""
        return self.status in (429, 502, 503, 504) or self.code == "running"


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirection: that would carry the key elsewhere."""

    def redirect_request(self, *_: Any) -> None:
        return None


def segment(text: str) -> str:
    """A part of a path, which may hold anything. What would lead to another path is refused."""
    if text in ("", ".", ".."):
        raise ValueError(f"{text!r} cannot stand in a path")
    return urllib.parse.quote(text, safe="")


class Transport:
    """Sends requests. GET, and what has an `idempotency_key`, is sent again when the server is away for a moment.

    server: as in `https://live.example.com`.
    key: an operator's key or token.
    timeout: seconds without a byte after which a request has failed.
    retries: how often it is sent again.
    longest_wait: seconds; a server that asks for a longer pause is not tried again.
    """

    _root = ""

    def __init__(
        self,
        server: str,
        key: str | None = None,
        *,
        timeout: float = 15,
        retries: int = 3,
        longest_wait: float = 10,
    ):
        if urllib.parse.urlsplit(server).scheme not in ("http", "https"):
            raise ValueError(f"{server!r} is no address of a server")
        self._server = server.rstrip("/")
        self._key = key
        self._timeout = timeout
        self._retries = retries
        self._longest_wait = longest_wait
        self._opener = urllib.request.build_opener(_Stay)

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, Any] | None = None,
        body: dict[str, Any] | None = None,
        idempotency_key: str | None = None,
        binary: bool = False,
    ) -> Any:
        request = self._request(method, path, query or {}, body, idempotency_key)
        again = self._retries if method == "GET" or idempotency_key is not None else 0
        for attempt in range(again + 1):
            wait = 0.25 * 2**attempt * random.uniform(0.5, 1)
            try:
                return self._once(request, binary)
            except ApiError as e:
                if e.retry_after is not None:
                    wait = e.retry_after
                if not e.passes() or attempt == again or wait > self._longest_wait:
                    raise
            except (OSError, http.client.HTTPException) as e:
                if attempt == again or wait > self._longest_wait:
                    raise e if isinstance(e, OSError) else ConnectionError(f"the answer was cut off: {e!r}") from e
            time.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def _request(
        self, method: str, path: str, query: dict[str, Any], body: dict[str, Any] | None, idempotency_key: str | None
    ) -> urllib.request.Request:
        given = {name: value for name, value in query.items() if value is not None}
        url = f"{self._server}{self._root}{path}" + (f"?{urllib.parse.urlencode(given)}" if given else "")
        headers = {"Accept": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        if idempotency_key is not None:
            if not re.fullmatch(r"[A-Za-z0-9_-]{1,255}", idempotency_key):
                raise ValueError("an idempotency_key is 1 to 255 of A-Z a-z 0-9 - _")
            headers["Idempotency-Key"] = idempotency_key
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps({name: value for name, value in body.items() if value is not None}).encode()
        return urllib.request.Request(url, data, headers, method=method)

    def _once(self, request: urllib.request.Request, binary: bool) -> Any:
        try:
            answer = self._opener.open(request, timeout=self._timeout)
        except urllib.error.HTTPError as e:
            with e:
                raise _refused(e.code, e.headers.get("Retry-After", ""), e.read()) from None
        if binary:
            return answer
        with answer:
            text = answer.read()
        return json.loads(text) if text else None


def _refused(status: int, wait: str, text: bytes) -> ApiError:
    try:
        problem = json.loads(text)
    except ValueError:
        problem = None
    # A proxy's page is no problem of ours.
    problem = problem if isinstance(problem, dict) else {}
    seconds = int(wait) if re.fullmatch(r"[0-9]{1,9}", wait) else None
    return ApiError(status, str(problem.get("code", "")), str(problem.get("detail", f"HTTP {status}")), seconds)
