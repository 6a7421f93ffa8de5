"""Fetching from upstream: fills into growing bodies, and requests passed through for one client.

Prefetches have connections of their own with small receive buffers. Only then does not reading
stop the link: with the kernel's buffers megabytes would go on arriving after `PauseFill`.

The core times fills; of the times only that for connecting is kept here. Of requests passed through
all are.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from typing import Any, Final

import aiohttp
import google_crc32c
from aiohttp.connector import AddrInfoType
from yarl import URL

from cache.http.headers import content_length, without
from edge.config import EdgeConfig
from edge.drivers.bodies import Bodies
from edge.drivers.growing import GrowingBody
from edge.events import (
    CancelFill,
    Event,
    FailureCause,
    FillBlocked,
    FillEnded,
    FillFailed,
    FillHeaders,
    FillProgress,
    Headers,
    PassThrough,
    PauseFill,
    ResumeFill,
    StartFill,
)
from edge.pacing import CONNECTIONS_MAX, PROGRESS_BYTES, PROGRESS_S
from nearcast.errors import RemoteProtocolError
from nearcast.manifests import is_manifest
from nearcast.manifests.limits import TEXT_BYTES_MAX

logger = logging.getLogger(__name__)

PREFETCH_BUFFER_BYTES: Final = 64 * 1024
PREFETCH_CONNECTIONS_EXTRA: Final = 32
HEAD_BYTES_MAX: Final = 32 * 1024
HEADER_COUNT_MAX: Final = 256
IDLE_CONNECTION_S: Final = 30.0
_NOT_OURS_TO_ADD: Final = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")

# The client's 100-continue is answered here; aiohttp would wait for upstream's without end.
_EXPECTS: Final = ("expect",)

Spawn = Callable[[Coroutine[Any, Any, None], str], "asyncio.Task[None]"]


class UpstreamError(Exception):
    """A fetch failed; `cause` as in FillFailed."""

    def __init__(self, cause: FailureCause, detail: str) -> None:
        super().__init__(detail)
        self.cause: FailureCause = cause
        self.detail = detail


class _Fill:
    """One fetch under way."""

    def __init__(self, effect: StartFill, body: GrowingBody) -> None:
        self.effect = effect
        self.body = body
        self.may_read = asyncio.Event()
        self.may_read.set()
        self.task: asyncio.Task[None] | None = None


class Upstream:
    """The client side of an edge. Make it inside the running loop."""

    def __init__(
        self,
        config: EdgeConfig,
        bodies: Bodies,
        tell: Callable[[Event], None],
        spawn: Spawn,
    ) -> None:
        self._http = config.http
        self._loop = asyncio.get_running_loop()
        self._bodies = bodies
        self._tell = tell
        self._spawn = spawn
        self._fills: dict[int, _Fill] = {}
        self.session = _session(
            aiohttp.TCPConnector(
                limit=CONNECTIONS_MAX, keepalive_timeout=IDLE_CONNECTION_S, ttl_dns_cache=60
            )
        )
        self._prefetch_session = _session(
            aiohttp.TCPConnector(
                # Those that demand has joined are still here while the core starts others.
                limit=PREFETCH_CONNECTIONS_EXTRA + config.prefetch.in_flight_max,
                keepalive_timeout=IDLE_CONNECTION_S,
                ttl_dns_cache=60,
                socket_factory=_small_socket,
            )
        )

    # Fills

    def start(self, effect: StartFill) -> None:
        fill = _Fill(effect, self._bodies.begin(effect.fill_id))
        self._fills[effect.fill_id] = fill
        fill.task = self._spawn(self._run(fill), f"fill/{effect.fill_id}")

    def pause(self, effect: PauseFill) -> None:
        if (fill := self._fills.get(effect.fill_id)) is not None:
            fill.may_read.clear()

    def resume(self, effect: ResumeFill) -> None:
        if (fill := self._fills.get(effect.fill_id)) is not None:
            fill.may_read.set()

    def cancel(self, effect: CancelFill) -> None:
        fill = self._fills.pop(effect.fill_id, None)
        if fill is not None:
            fill.body.fail("the fetch was given up")
            if fill.task is not None:
                fill.task.cancel()
        self._bodies.end(effect.fill_id)

    async def _run(self, fill: _Fill) -> None:
        fill_id = fill.effect.fill_id
        try:
            ended = await self._fetch(fill)
        except UpstreamError as error:
            fill.body.fail(error.detail)
            self._tell(FillFailed(fill_id=fill_id, cause=error.cause, detail=error.detail))
            self._bodies.end(fill_id)
        except Exception:  # a bug of ours must cost this one answer, not the node
            logger.exception("fill.broken fill=%d", fill_id)
            fill.body.fail("internal error")
            self._tell(FillFailed(fill_id=fill_id, cause="broken", detail="internal error"))
            self._bodies.end(fill_id)
        else:
            fill.body.finish()
            self._tell(ended)
        finally:
            self._fills.pop(fill_id, None)

    async def _fetch(self, fill: _Fill) -> FillEnded:
        effect, body = fill.effect, fill.body
        session = self._prefetch_session if effect.priority == "prefetch" else self.session
        response = await self._head(session, effect)
        is_whole = False
        try:
            headers = lower_headers(response.raw_headers)
            try:
                announced_bytes = content_length(headers)
            except RemoteProtocolError as error:
                raise UpstreamError("broken", str(error)) from error
            self._tell(FillHeaders(fill_id=effect.fill_id, status=response.status, headers=headers))
            crc32c = 0
            told_bytes, told_s = 0, self._loop.time()
            while chunk := await self._chunk(fill, response):
                body.append(chunk)
                crc32c = google_crc32c.extend(crc32c, chunk)
                now_s = self._loop.time()
                if body.size_bytes - told_bytes >= PROGRESS_BYTES or now_s - told_s >= PROGRESS_S:
                    told_bytes, told_s = body.size_bytes, now_s
                    self._tell(FillProgress(fill_id=effect.fill_id, received_bytes=told_bytes))
            if (
                announced_bytes is not None
                and response.status not in (204, 304)
                and body.size_bytes != announced_bytes
            ):
                raise UpstreamError(
                    "integrity", f"{body.size_bytes} of {announced_bytes} bytes arrived"
                )
            is_whole = True
        finally:
            if is_whole:
                response.release()
            else:
                response.close()
        return FillEnded(
            fill_id=effect.fill_id,
            size_bytes=body.size_bytes,
            crc32c=crc32c,
            text=_text(effect, response, body),
        )

    async def _head(
        self, session: aiohttp.ClientSession, effect: StartFill
    ) -> aiohttp.ClientResponse:
        try:
            return await session.get(
                URL(effect.url, encoded=True),
                headers=effect.headers,
                allow_redirects=False,
                timeout=self._timeouts(),
            )
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise _translated(error) from error

    async def _chunk(self, fill: _Fill, response: aiohttp.ClientResponse) -> bytes:
        await fill.may_read.wait()
        if not fill.body.has_room:
            fill_id = fill.effect.fill_id
            self._tell(FillBlocked(fill_id=fill_id, is_blocked=True))
            await fill.body.room()
            self._tell(FillBlocked(fill_id=fill_id, is_blocked=False))
        try:
            return await response.content.readany()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _translated(error) from error

    # Requests passed through

    async def forward(
        self, effect: PassThrough, upload: AsyncIterator[bytes] | None
    ) -> aiohttp.ClientResponse:
        """Send one request and return its answer when the head is here. Raises UpstreamError.

        While an upload moves, the wait for the answer has not begun.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as deadline:

                def wait(time_s: float) -> None:
                    deadline.reschedule(loop.time() + time_s)

                async def sent() -> AsyncIterator[bytes]:
                    assert upload is not None
                    async for chunk in upload:
                        wait(self._http.fill_idle_timeout_s)
                        yield chunk
                    wait(self._http.fill_header_timeout_s)

                wait(self._http.connect_timeout_s + self._http.fill_header_timeout_s)
                return await self.session.request(
                    effect.method,
                    URL(effect.url, encoded=True),
                    headers=without(effect.headers, _EXPECTS),
                    data=sent() if upload is not None else None,
                    allow_redirects=False,
                    timeout=self._timeouts(),
                )
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise _translated(error) from error

    async def read(self, response: aiohttp.ClientResponse) -> bytes:
        """The next bytes of a forwarded answer; empty at its end. Raises UpstreamError."""
        try:
            async with asyncio.timeout(self._http.fill_idle_timeout_s):
                return await response.content.readany()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _translated(error) from error

    async def close(self) -> None:
        await self.session.close()
        await self._prefetch_session.close()

    def _timeouts(self) -> aiohttp.ClientTimeout:
        return aiohttp.ClientTimeout(
            total=None, connect=None, sock_connect=self._http.connect_timeout_s, sock_read=None
        )


def lower_headers(raw: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Fields as the core takes them. Values are text in UTF-8, as aiohttp will send them again;
    older ones are Latin-1."""
    return tuple((name.decode("latin-1").lower(), _text_of(value)) for name, value in raw)


def _text_of(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        auto_decompress=False,
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=_NOT_OURS_TO_ADD,
        requote_redirect_url=False,
        max_line_size=HEAD_BYTES_MAX,
        max_field_size=HEAD_BYTES_MAX,
        max_headers=HEADER_COUNT_MAX,
        read_bufsize=PREFETCH_BUFFER_BYTES,
    )


def _small_socket(address: AddrInfoType) -> socket.socket:
    family, kind, protocol, _, _ = address
    end = socket.socket(family=family, type=kind, proto=protocol)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PREFETCH_BUFFER_BYTES)
    return end


def _text(effect: StartFill, response: aiohttp.ClientResponse, body: GrowingBody) -> bytes | None:
    if not effect.want_text or response.status != 200 or body.size_bytes > TEXT_BYTES_MAX:
        return None
    content_type = response.headers.get("content-type")
    return body.whole() if is_manifest(content_type, effect.url) else None


def _translated(error: Exception) -> UpstreamError:
    """What a library exception means to us. The order follows aiohttp's class tree."""
    detail = str(error).strip() or type(error).__name__
    match error:
        case TimeoutError():
            return UpstreamError("timeout", "no answer in time")
        case aiohttp.ClientConnectorError() | aiohttp.InvalidURL():
            return UpstreamError("refused", detail)
        case aiohttp.ClientPayloadError() if "ContentLength" in detail:
            return UpstreamError("integrity", "cut off before the announced size")
        case aiohttp.ClientError() | OSError():
            return UpstreamError("broken", detail)
        case _:  # ValueError: a URL or header that cannot be sent
            return UpstreamError("refused", detail)
