"""Limits on the body of a request."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

LIMIT = 8 << 20
"""Maximum number of bytes of a body."""
HEARD = 64 << 20
"""Maximum bytes of a too large body that are read and dropped: a client that still sends does not read the answer."""
DATA = ("dataframe_records", "instances", "inputs")
"""Keys under which a body has rows, in addition to "dataframe_split"."""
SECONDS = 60
"""Seconds within which a body must arrive."""


class Limited:
    """Middleware that passes each body on as a whole, and refuses one that is too large or too slow."""

    def __init__(self, app: ASGIApp, numeric: bool = False) -> None:
        self.app = app
        self.numeric = numeric
        """Whether texts in the data are refused: MLflow would take "0.5" for a number."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(SECONDS):
                body = await _body(receive, _declared(scope))
        except TimeoutError:
            await refusal(408, f"the body has not come within {SECONDS} seconds")(scope, receive, send)
            return
        if body is None:
            reason = f"the body is larger than {LIMIT >> 20} MiB: send fewer rows at a time"
            await refusal(413, reason)(scope, receive, send)
            return
        if self.numeric and (text := text_in(body)) is not None:
            await refusal(400, f"the data holds the text {text[:100]!r}: a number is due")(scope, receive, send)
            return
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Any:
            return messages.pop() if messages else await receive()

        await self.app(scope, again, send)


async def _body(receive: Receive, declared: int) -> bytes | None:
    """Return the whole body, or None if it is too large."""
    parts, size, more = [], 0, declared <= HEARD
    while more and size <= HEARD:
        message = await receive()
        part, more = message.get("body", b""), message.get("more_body", False)
        size += len(part)
        if size <= LIMIT:
            parts.append(part)
    return b"".join(parts) if max(size, declared) <= LIMIT else None


def text_in(body: bytes) -> str | None:
    """Return a text among the data of a JSON body; None if there is none, or if the body is not JSON."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    data = [found.get(name) for name in DATA] if isinstance(found, dict) else []
    split = found.get("dataframe_split") if isinstance(found, dict) else None
    rest = [*data, split.get("data") if isinstance(split, dict) else None]
    while rest:
        part = rest.pop()
        if isinstance(part, str):
            return part
        rest += part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return None


def _declared(scope: Scope) -> int:
    """Return the number of bytes that the request declares, or 0."""
    return next((int(value) for name, value in scope["headers"] if name == b"content-length"), 0)


def refusal(status: int, reason: str) -> Response:
    """Return an error response in the form of MLflow's."""
    from starlette.responses import JSONResponse

    return JSONResponse({"error_code": "BAD_REQUEST", "message": reason}, status)
