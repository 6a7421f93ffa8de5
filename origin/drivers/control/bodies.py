"""Request bodies with a limit, in bytes and in time."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

BODY_S: Final = 10.0


class BodyRefused(Exception):
    """What came is no body of ours; `status` says why in HTTP's words."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


async def read_body(request: web.BaseRequest, bytes_max: int, *, limit_s: float = BODY_S) -> bytes:
    """The whole body. Raises BodyRefused: then the connection has to be closed, for the rest of
    the body is still on its way."""
    announced = request.content_length
    if announced is not None and announced > bytes_max:
        raise BodyRefused(413, f"the body may have {bytes_max} bytes")
    if not request.body_exists:
        return b""
    pieces: list[bytes] = []
    size_bytes = 0
    try:
        async with asyncio.timeout(limit_s):
            while piece := await request.content.readany():
                size_bytes += len(piece)
                if size_bytes > bytes_max:
                    raise BodyRefused(413, f"the body may have {bytes_max} bytes")
                pieces.append(piece)
    except TimeoutError as error:
        raise BodyRefused(408, f"the body did not come within {limit_s:g} s") from error
    except (ConnectionError, HttpProcessingError, web.RequestPayloadError, ValueError) as error:
        raise BodyRefused(400, "the body is broken") from error
    return b"".join(pieces)
