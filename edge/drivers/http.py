"""The edge on a socket: aiohttp reads requests, the core decides, this sends.

A hit that `find_hit` gives is served at once and reported later, in batches, through the ring.
Everything else is told to the core, and the request waits for its one answering effect. Bodies come
in pieces from wherever they are; a slow client slows down nothing but its own answer, and one that
takes too little for too long is let go.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Protocol

from aiohttp import HttpVersion11, web
from multidict import CIMultiDict

from cache.http.headers import end_to_end
from edge.config import EdgeConfig
from edge.drivers.bodies import Bodies, Body, BodyMissing
from edge.drivers.connections import SERVER, Listener
from edge.drivers.growing import BodyBroken, GrowingReader
from edge.drivers.ring import HitRing
from edge.drivers.upstream import Upstream, UpstreamError, lower_headers
from edge.events import (
    AbortResponse,
    ClientLeft,
    Event,
    Headers,
    Hit,
    PassThrough,
    Requested,
    ResponseEnded,
    ServeFill,
    ServeObject,
    ServeText,
)
from nearcast.clock import Clock

logger = logging.getLogger(__name__)

PIECE_BYTES: Final = 256 * 1024
TRIES_MAX: Final = 3
"""Times an answer is asked for anew when the object that should be sent turns out to be gone."""

Answer = ServeObject | ServeFill | ServeText | PassThrough
Special = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class HitFinder(Protocol):
    """What of the core is asked directly; it decides and changes nothing."""

    def find_hit(self, request: Requested, now_s: float) -> ServeObject | None: ...


class _Sending:
    """One answer on its way."""

    def __init__(self, request: web.BaseRequest) -> None:
        self.request = request
        self.body: Body | None = None
        self.sent_bytes = 0
        self.is_whole = False

    def cut(self) -> None:
        """End the connection so that the client sees that its answer is not whole.

        What was sent still arrives, and the missing rest shows: by Content-Length, or by the last
        chunk that never comes. An HTTP/1.0 client without either needs a reset.
        """
        transport = self.request.transport
        if transport is None:
            return
        if self.request.version < HttpVersion11:
            transport.abort()
        else:
            transport.close()


class EdgeServer:
    """Answers requests; `listener` takes them."""

    def __init__(
        self,
        config: EdgeConfig,
        core: HitFinder,
        clock: Clock,
        tell: Callable[[Event], None],
        bodies: Bodies,
        upstream: Upstream,
        ring: HitRing,
        special: Callable[[web.BaseRequest], Special | None],
    ) -> None:
        self._config = config
        self._core = core
        self._clock = clock
        self._tell = tell
        self._bodies = bodies
        self._upstream = upstream
        self._ring = ring
        self._special = special
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[tuple[Answer, GrowingReader | None]]] = {}
        self._sending: dict[int, _Sending] = {}
        self.listener = Listener(config, self._handle)

    # What the core wants

    def answer(self, effect: Answer) -> None:
        waiting = self._waiting.pop(effect.request_id, None)
        if waiting is None or waiting.done():
            return  # the client has left, and the core was told
        reader = None
        if isinstance(effect, ServeFill) and (body := self._bodies.fill(effect.fill_id)):
            # Made now, while the fill is surely there, and not when the request's task runs next.
            reader = body.reader(effect.byte_range.first if effect.byte_range is not None else 0)
        waiting.set_result((effect, reader))

    def abort(self, effect: AbortResponse) -> None:
        sending = self._sending.get(effect.request_id)
        if sending is None:
            return
        if isinstance(sending.body, GrowingReader) and sending.body.failure is not None:
            return  # it comes to the break by itself, after what arrived before it
        sending.cut()

    # Requests

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        special = self._special(request)
        if special is not None:
            return await special(request)
        requested = Requested(
            request_id=next(self._numbers),
            method=request.method,
            target=request.raw_path,
            headers=lower_headers(request.raw_headers),
            client=request.remote or "",
        )
        hit = self._core.find_hit(requested, self._clock.now_s())
        if hit is not None:
            with contextlib.suppress(BodyMissing):
                return await self._serve_hit(request, requested, hit)
        for number in range(TRIES_MAX):
            if number:
                requested = _renumbered(requested, next(self._numbers))
            with contextlib.suppress(BodyMissing):
                return await self._ask(request, requested)
        logger.error("answer.failed cause=body_missing tries=%d", TRIES_MAX)
        return web.Response(status=503, headers={"server": SERVER, "retry-after": "1"})

    async def _serve_hit(
        self, request: web.BaseRequest, requested: Requested, hit: ServeObject
    ) -> web.StreamResponse:
        sending = _Sending(request)
        content = self._bodies.in_memory(hit.object_id)
        at_s = self._clock.now_s()
        is_begun = False
        try:
            if not hit.send_body:
                is_begun = True
                return await self._send_whole(sending, hit, b"")
            if content is not None and len(content) <= PIECE_BYTES:
                is_begun = True
                if hit.byte_range is not None:
                    content = content[hit.byte_range.first : hit.byte_range.last + 1]
                return await self._send_whole(sending, hit, content)
            sending.body = await self._bodies.open(hit.object_id)
            is_begun = True
            return await self._send(sending, hit)
        finally:
            if sending.body is not None:
                sending.body.close()
            if is_begun:
                self._ring.append(
                    Hit(
                        at_s=at_s,
                        target=requested.target,
                        headers=requested.headers,
                        client=requested.client,
                        object_id=hit.object_id,
                        sent_bytes=sending.sent_bytes,
                    )
                )

    async def _ask(self, request: web.BaseRequest, requested: Requested) -> web.StreamResponse:
        """Let the core decide, and do so. Raises BodyMissing before anything was sent."""
        request_id = requested.request_id
        self._ring.flush()  # the core hears of requests in the order they came
        future: asyncio.Future[tuple[Answer, GrowingReader | None]]
        future = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = future
        sending = _Sending(request)
        try:
            self._tell(requested)
            effect, growing = await future
            self._sending[request_id] = sending
            return await self._perform(sending, effect, growing)
        finally:
            self._waiting.pop(request_id, None)
            self._sending.pop(request_id, None)
            if future.done() and not future.cancelled() and future.result()[1] is not None:
                sending.body = future.result()[1]
            if sending.body is not None:
                sending.body.close()
            sent_bytes = sending.sent_bytes
            if sending.is_whole:
                self._tell(ResponseEnded(request_id=request_id, sent_bytes=sent_bytes))
            else:
                self._tell(ClientLeft(request_id=request_id, sent_bytes=sent_bytes))

    async def _perform(
        self, sending: _Sending, effect: Answer, growing: GrowingReader | None
    ) -> web.StreamResponse:
        match effect:
            case ServeText():
                text = b"" if sending.request.method == "HEAD" else effect.text
                return await self._send_whole(sending, effect, text)
            case PassThrough():
                return await self._pass(sending, effect)
            case ServeObject(send_body=False):
                return await self._send_whole(sending, effect, b"")
            case ServeObject():
                sending.body = await self._bodies.open(effect.object_id)
                return await self._send(sending, effect)
            case ServeFill():
                if growing is None:
                    raise BodyMissing("the fill has ended")
                sending.body = growing
                return await self._send(sending, effect)

    async def _send(self, sending: _Sending, effect: ServeObject | ServeFill) -> web.StreamResponse:
        """Stream the body, or the part that is wanted, as it is there to be sent."""
        response = _head(sending.request, effect.status, effect.headers)
        offset, left = 0, None
        if effect.byte_range is not None:
            offset, left = effect.byte_range.first, effect.byte_range.size_bytes
        elif (length := response.headers.get("content-length")) is not None:
            left = int(length)
        if not effect.send_body:
            left = 0
        body = sending.body
        assert body is not None
        try:
            await response.prepare(sending.request)
            while left is None or left > 0:
                limit = PIECE_BYTES if left is None else min(PIECE_BYTES, left)
                piece = await body.read(offset, limit)
                if not piece:
                    break
                await self._write(response, piece)
                sending.sent_bytes += len(piece)
                offset += len(piece)
                left = None if left is None else left - len(piece)
            if left:
                raise BodyBroken(f"{left} bytes are missing")
            await response.write_eof()
            sending.is_whole = True
        except (BodyBroken, BodyMissing) as error:
            logger.info("answer.cut sent_bytes=%d cause=%s", sending.sent_bytes, error)
            sending.cut()
        except (ConnectionError, TimeoutError) as error:
            _gone(sending, error)
        return response

    async def _send_whole(
        self, sending: _Sending, effect: ServeObject | ServeText, content: bytes
    ) -> web.StreamResponse:
        """Head and body in one write."""
        headers = CIMultiDict(effect.headers)
        headers.setdefault("server", SERVER)
        if content:
            response = web.Response(status=effect.status, headers=headers, body=content)
        else:
            response = web.Response(status=effect.status, headers=headers)
        try:
            async with asyncio.timeout(self._config.server.send_s):
                await response.prepare(sending.request)
                await response.write_eof()
            sending.sent_bytes = len(content)
            sending.is_whole = True
        except (ConnectionError, TimeoutError) as error:
            _gone(sending, error)
        return response

    async def _write(self, response: web.StreamResponse, piece: bytes | memoryview) -> None:
        """Raises TimeoutError when the client takes less than a piece in the time allowed."""
        async with asyncio.timeout(self._config.server.send_s):
            await response.write(piece)

    # Passing through

    async def _pass(self, sending: _Sending, effect: PassThrough) -> web.StreamResponse:
        request = sending.request
        try:
            answer = await self._upstream.forward(
                effect, self._upload(request) if request.body_exists else None
            )
        except UpstreamError as error:
            return await self._upstream_failed(sending, effect, error)
        try:
            headers = end_to_end(lower_headers(answer.raw_headers))
            before = ", ".join(value for name, value in headers if name == "cache-status")
            status_line = f"{before}, {effect.cache_status}" if before else effect.cache_status
            headers = tuple(field for field in headers if field[0] != "cache-status")
            response = _head(request, answer.status, (*headers, ("cache-status", status_line)))
            try:
                await response.prepare(request)
                while piece := await self._upstream.read(answer):
                    await self._write(response, piece)
                    sending.sent_bytes += len(piece)
                await response.write_eof()
                sending.is_whole = True
            except UpstreamError as error:
                logger.info("answer.cut sent_bytes=%d cause=%s", sending.sent_bytes, error)
                sending.cut()
            except (ConnectionError, TimeoutError) as error:
                _gone(sending, error)
            return response
        finally:
            answer.close() if not answer.content.at_eof() else answer.release()

    async def _upload(self, request: web.BaseRequest) -> AsyncIterator[bytes]:
        if request.headers.get("expect", "").lower() == "100-continue":
            assert request.transport is not None
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        while piece := await request.content.readany():
            yield piece

    async def _upstream_failed(
        self, sending: _Sending, effect: PassThrough, error: UpstreamError
    ) -> web.StreamResponse:
        status = 504 if error.cause == "timeout" else 502
        text = ServeText(
            request_id=effect.request_id,
            status=status,
            headers=(
                ("content-type", "text/plain; charset=utf-8"),
                ("cache-control", "no-store"),
                ("retry-after", "1"),
                ("cache-status", effect.cache_status),
            ),
            text=f"{status}: upstream: {error.detail}\n".encode(),
        )
        if sending.request.body_exists and not sending.request.content.at_eof():
            text = ServeText(
                request_id=effect.request_id,
                status=status,
                headers=(*text.headers, ("connection", "close")),
                text=text.text,
            )
        content = b"" if sending.request.method == "HEAD" else text.text
        return await self._send_whole(sending, text, content)


def _head(request: web.BaseRequest, status: int, headers: Headers) -> web.StreamResponse:
    fields = CIMultiDict(headers)
    fields.setdefault("server", SERVER)
    response = web.StreamResponse(status=status, headers=fields)
    if request.version < HttpVersion11 and "content-length" not in fields:
        response.force_close()  # the end of the connection is the end of the body
    return response


def _gone(sending: _Sending, error: Exception) -> None:
    """The client left, or does not take what it asked for."""
    logger.debug("client.gone sent_bytes=%d cause=%r", sending.sent_bytes, error)
    if sending.request.transport is not None:
        sending.request.transport.abort()


def _renumbered(requested: Requested, request_id: int) -> Requested:
    return Requested(
        request_id=request_id,
        method=requested.method,
        target=requested.target,
        headers=requested.headers,
        client=requested.client,
    )
