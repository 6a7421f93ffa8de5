"""The origin on a socket: aiohttp reads requests, `OriginCore` decides, this sends.

Bodies are read in threads, one bounded piece at a time, so that a cold disk never stops the loop
and a slow client never fills memory.
"""

from __future__ import annotations

import asyncio
import logging
import os
from functools import partial
from typing import Final

from aiohttp import web
from multidict import CIMultiDict

from nearcast.address import parse_address
from nearcast.errors import ConfigError, NearcastError
from origin.catalog import MEDIA_PREFIX
from origin.config import OriginConfig
from origin.core import OriginAnswer, OriginCore
from origin.drivers.control.public import PLAY_PREFIX, Public
from origin.drivers.http_log import http_logger
from origin.drivers.media import Media, MediaMissing, MediaReader, MediaUnavailable
from origin.drivers.metrics import OriginMetrics
from origin.drivers.shelves import DiskLibrary

logger = logging.getLogger(__name__)

RETRY_S: Final = 2
"""When to ask again for what the object store did not give."""
METRICS_PATH: Final = "/metrics"
HEALTH_PATH: Final = "/healthz"
METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
SERVER: Final = "nearcast-origin"


class OriginServer:
    """One listening origin. `start`, then `close`, which lets answers under way finish."""

    def __init__(
        self,
        core: OriginCore,
        library: DiskLibrary,
        media: Media,
        config: OriginConfig,
        metrics: OriginMetrics,
        public: Public | None = None,
    ) -> None:
        self._core = core
        self._library = library
        self._media = media
        self._config = config
        self._metrics = metrics
        self._public = public
        self.address = ""
        self._runner: web.ServerRunner | None = None
        self._watch: asyncio.Task[None] | None = None
        # One title is loaded at a time: two requests for a new title would read it twice, and
        # the shelf is not made for two threads.
        self._loading = asyncio.Lock()

    async def start(self) -> str:
        """Listen; returns `host:port` as bound. Raises ConfigError when that cannot be done."""
        host, port = parse_address(self._config.listen, "listen")
        limits = self._config.limits
        server = web.Server(
            self._handle,
            access_log=None,
            logger=http_logger(),
            keepalive_timeout=limits.idle_s,
            max_line_size=limits.header_bytes,
            max_field_size=limits.header_bytes,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=self._config.drain_s)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, reuse_address=True)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            reason = os.strerror(error.errno).lower() if error.errno else str(error)
            raise ConfigError(
                f"cannot listen on {host}:{port}: {reason}; choose another with --listen HOST:PORT"
            ) from error
        self._metrics.titles.set(self._library.title_count)
        self._metrics.models.set(self._library.model_count)
        self._watch = asyncio.get_running_loop().create_task(self._look(), name="origin/watch")
        address = self._runner.addresses[0]
        shown = f"[{address[0]}]" if ":" in address[0] else address[0]
        self.address = f"{shown}:{address[1]}"
        return self.address

    async def close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()

    async def _look(self) -> None:
        """Notice titles that come and go."""
        while True:
            await asyncio.sleep(self._config.poll_s)
            try:
                await self._refresh()
            except NearcastError as error:
                logger.warning("catalog.unreadable detail=%s", error)

    async def _refresh(self) -> None:
        async with self._loading:
            if await asyncio.to_thread(self._library.refresh):
                self._metrics.titles.set(self._library.title_count)
                self._metrics.models.set(self._library.model_count)
                logger.info(
                    "catalog.changed titles=%d models=%d",
                    self._library.title_count,
                    self._library.model_count,
                )

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        with self._metrics.open.track_inprogress():
            path = request.raw_path.partition("?")[0]
            if request.method in ("GET", "HEAD"):
                if path == METRICS_PATH:
                    return web.Response(
                        body=self._metrics.text(), headers={"content-type": METRICS_TYPE}
                    )
                if path == HEALTH_PATH:
                    return web.json_response({"status": "ok", "titles": self._library.title_count})
            if self._public is not None:
                response = await self._public.handle(request, path)
                if response is not None:
                    self._metrics.answered(response.status)
                    return response
            if self._public is not None and path.startswith(PLAY_PREFIX):
                path = MEDIA_PREFIX + path.removeprefix(PLAY_PREFIX)
                answer = await self._answer(request, path, target=path, is_bare=True)
                resource = answer.resource
                if answer.status == 200 and resource is not None and resource.body is not None:
                    response = self._public.for_client(
                        request, path, partial(self._library.for_client, resource.path)
                    )
                    self._metrics.answered(response.status)
                    return response
            else:
                answer = await self._answer(request, path)
            try:
                return await self._send_or_look_again(request, answer, path)
            except MediaMissing as error:
                logger.error("media.missing detail=%s", error)
                self._metrics.answered(500)
                return web.Response(status=500, text="this file is missing\n")
            except MediaUnavailable as error:
                logger.warning("media.unavailable path=%s detail=%s", path, error)
                self._metrics.answered(503)
                return web.Response(
                    status=503,
                    text="this file cannot be read now\n",
                    headers={"retry-after": str(RETRY_S)},
                )

    async def _send_or_look_again(
        self, request: web.BaseRequest, answer: OriginAnswer, path: str
    ) -> web.StreamResponse:
        try:
            return await self._send(request, answer)
        except MediaMissing:
            # Replaced or removed since the catalogue was read: read it again and answer anew.
            await self._refresh()
            return await self._send(request, await self._answer(request, path))

    async def _answer(
        self, request: web.BaseRequest, path: str, *, target: str = "", is_bare: bool = False
    ) -> OriginAnswer:
        """`is_bare`: whatever the client asks of ranges and validators."""
        target = target or request.raw_path
        headers = tuple(
            (name.decode("latin-1").lower(), value.decode("latin-1"))
            for name, value in (() if is_bare else request.raw_headers)
        )
        try:
            if self._library.has_loaded(path):
                return self._core.answer(request.method, target, headers)
            async with self._loading:
                return await asyncio.to_thread(self._core.answer, request.method, target, headers)
        except NearcastError as error:
            logger.error("answer.failed path=%s detail=%s", path, error)
            body = b"the catalogue cannot be read\n"
            return OriginAnswer(
                status=503,
                headers=(("retry-after", "1"), ("content-length", str(len(body)))),
                body=body,
            )

    async def _send(self, request: web.BaseRequest, answer: OriginAnswer) -> web.StreamResponse:
        headers = CIMultiDict(answer.headers)
        headers["server"] = SERVER
        resource = answer.resource
        if not answer.send_body or resource is None or resource.body is not None:
            body = answer.body if resource is None or resource.body is None else resource.body
            if answer.byte_range is not None:
                body = body[answer.byte_range.first : answer.byte_range.last + 1]
            response: web.StreamResponse
            if answer.send_body:
                response = web.Response(status=answer.status, headers=headers, body=body)
                self._metrics.sent_bytes.inc(len(body))
            else:
                # aiohttp keeps the length we state for the body it does not send.
                response = web.Response(status=answer.status, headers=headers)
            self._metrics.answered(answer.status)
            return response
        first = answer.byte_range.first if answer.byte_range is not None else 0
        reader = await self._media.open(resource, first, answer.size_bytes)
        self._metrics.answered(answer.status)
        try:
            return await self._stream(request, answer, headers, reader)
        finally:
            reader.close()

    async def _stream(
        self,
        request: web.BaseRequest,
        answer: OriginAnswer,
        headers: CIMultiDict[str],
        reader: MediaReader,
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers=headers)
        left_bytes = answer.size_bytes
        try:
            await response.prepare(request)
            while left_bytes > 0:
                try:
                    piece = (await reader.read())[:left_bytes]
                except NearcastError as error:
                    logger.error("media.broken path=%s detail=%s", request.path, error)
                    break
                if not piece:
                    logger.error("media.short path=%s missing_bytes=%d", request.path, left_bytes)
                    break
                async with asyncio.timeout(self._config.limits.send_s):
                    await response.write(piece)
                left_bytes -= len(piece)
                self._metrics.sent_bytes.inc(len(piece))
        except (ConnectionError, TimeoutError):
            logger.debug("answer.broken path=%s left_bytes=%d", request.path, left_bytes)
        if left_bytes > 0:
            # Less than announced: only a closed connection tells the client so.
            self._metrics.broken.inc()
            if request.transport is not None:
                request.transport.abort()
            return response
        await response.write_eof()
        return response
