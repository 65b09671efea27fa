"""A limit to what one request may send."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

LIMIT = 8 << 20
"""Bytes of a body, at most."""
HEARD = 64 << 20
"""Bytes of a larger one that are heard to the end, and forgotten: who still sends does not listen to the answer."""
DATA = ("dataframe_records", "instances", "inputs")
"""Keys under which a body has rows, in addition to "dataframe_split"."""
SECONDS = 60
"""In which a body has to come."""


class Limited:
    """An app that gets each body whole, and none that is too large or too slow."""

    def __init__(self, app: ASGIApp, numeric: bool = False) -> None:
        self.app = app
        self.numeric = numeric
        """Whether text is no data: MLflow would take "0.5" for a number."""

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
    """Return the whole body; None if it is too large."""
    parts, size, more = [], 0, declared <= HEARD
    while more and size <= HEARD:
        message = await receive()
        part, more = message.get("body", b""), message.get("more_body", False)
        size += len(part)
        if size <= LIMIT:
            parts.append(part)
    return b"".join(parts) if max(size, declared) <= LIMIT else None


def text_in(body: bytes) -> str | None:
    """Return a text among the data of a body in JSON; None if there is none, or if it is something else."""
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
    """Return the number of bytes that the request says it has."""
    return next((int(value) for name, value in scope["headers"] if name == b"content-length"), 0)


def refusal(status: int, reason: str) -> Response:
    """Return an answer that is formed as those of MLflow are."""
    from starlette.responses import JSONResponse

    return JSONResponse({"error_code": "BAD_REQUEST", "message": reason}, status)
