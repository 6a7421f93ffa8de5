"""Plays a viewer over HTTP, in real time.

One client session, with few connections, is one viewer: what two viewers share is the network, not
a connection pool. Bodies are counted and thrown away, but for manifests, which the core reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from urllib.parse import urldefrag

import aiohttp
from yarl import URL

from abr import events as ev
from abr.config import CmcdMode
from abr.drivers.body import TEXT_BYTES_MAX, Body, DamagedBody, TooLargeBody
from abr.drivers.failure_reports import FailureReports
from abr.drivers.fields import read_content_range, read_validator, retry_after_s
from abr.drivers.steering import ask_steering
from abr.report import ViewerReport
from abr.viewer import ViewerCore
from nearcast.aio import Pump
from nearcast.clock import Clock
from nearcast.cmcd import strip_query, to_headers, to_query

CONNECTIONS_MAX = 6
"""As browsers allow for one host over HTTP/1.1."""
IDLE_CONNECTION_S = 120.0
"""Idle connections are kept so long, as browsers do: a full buffer is no reason to pay a
connection's set-up at the start of the next episode."""
CONNECT_TIMEOUT_S = 10.0
REDIRECTS_MAX = 5
TOO_LARGE = 413
PROGRESS_BYTES = 16 * 1024
PROGRESS_S = 0.02
"""The core hears of a body's progress at most once for so many bytes, or so long: on a slow link it
would give segments up for bytes that are here already."""
FAILURES = (aiohttp.ClientError, OSError, ValueError)
"""What a request may raise; TimeoutError is an OSError."""
HEADERS = {"User-Agent": "nearcast-play", "Accept": "*/*", "Accept-Encoding": "identity"}


class ViewerDriver:
    """Carries out one viewer's effects. `await run()` once, inside a running loop."""

    def __init__(
        self, viewer: ViewerCore, clock: Clock, *, cmcd: CmcdMode, events_url: str = ""
    ) -> None:
        self._viewer = viewer
        self._reports = FailureReports(events_url, epoch_s=clock.epoch_s)
        self._cmcd: CmcdMode = cmcd
        self._pump: Pump[ev.Event, ev.Effect] = Pump(viewer, self._perform, clock)
        self._requests: dict[int, asyncio.Task[None]] = {}
        self._done = asyncio.Event()
        self._session: aiohttp.ClientSession | None = None

    async def run(self) -> ViewerReport:
        """Play until the plan is over or `leave` is called."""
        connector = aiohttp.TCPConnector(limit=CONNECTIONS_MAX, keepalive_timeout=IDLE_CONNECTION_S)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S)
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            headers=HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        ) as self._session:
            try:
                self._feed(ev.Start())
                over = asyncio.ensure_future(self._done.wait())
                await asyncio.wait(
                    (over, self._pump.tasks.failure), return_when=asyncio.FIRST_COMPLETED
                )
                over.cancel()
                if self._pump.tasks.failure.done():
                    self._pump.tasks.failure.result()
            finally:
                await self._pump.close()
        return self._viewer.report()

    def leave(self) -> None:
        """The viewer goes away; `run` returns soon."""
        self._feed(ev.Leave())

    def _feed(self, event: ev.Event) -> None:
        self._pump.feed(event)
        if self._viewer.is_done:
            self._done.set()

    def _perform(self, effect: ev.Effect) -> None:
        if isinstance(effect, ev.SendRequest):
            self._start(effect.request_id, self._fetch(effect))
        elif isinstance(effect, ev.AskSteering):
            self._start(effect.request_id, self._ask(effect))
        elif isinstance(effect, ev.ReportFailure):
            if self._reports.add(effect):
                self._pump.spawn(self._reports.send(self._session), name="reports")
        elif isinstance(effect, ev.CancelRequest):
            task_running = self._requests.get(effect.request_id)
            if task_running is not None:
                task_running.cancel()
        elif isinstance(effect, ev.SessionEnded) and self._viewer.is_done:
            self._done.set()

    def _start(self, request_id: int, work: Coroutine[None, None, None]) -> None:
        task = self._pump.spawn(work, name=f"request-{request_id}")
        self._requests[request_id] = task
        task.add_done_callback(lambda _: self._requests.pop(request_id, None))

    async def _ask(self, effect: ev.AskSteering) -> None:
        assert self._session is not None
        event: ev.Event
        try:
            event = await ask_steering(self._session, effect, redirects_max=REDIRECTS_MAX)
        except FAILURES as error:
            event = _failure(effect, error)
        self._feed(event)

    async def _fetch(self, request: ev.SendRequest) -> None:
        try:
            failure = await self._exchange(request)
        except FAILURES as error:
            failure = _failure(request, error)
        if failure is not None:
            self._feed(failure)

    async def _exchange(self, request: ev.SendRequest) -> ev.ResponseFailed | None:
        """Send, and report what comes; the failure if the answer is of no use."""
        assert self._session is not None
        url, headers = self._address(request)
        async with self._session.get(
            URL(url, encoded=True), headers=headers, max_redirects=REDIRECTS_MAX
        ) as response:
            if response.status not in (200, 206):
                detail = f"HTTP {response.status} {response.reason or ''}".rstrip()
                return ev.ResponseFailed(
                    request_id=request.request_id,
                    detail=detail,
                    status=response.status,
                    retry_after_s=retry_after_s(response.headers),
                )
            try:
                body = Body(
                    coding=response.headers.get("Content-Encoding", "identity"),
                    byte_range=request.byte_range,
                    is_partial=response.status == 206,
                    is_resumed=request.validator is not None,
                    keeps=request.want_text,
                )
                content_range = read_content_range(response.headers)
            except DamagedBody as error:
                return _damaged(request, str(error))
            size_bytes = response.content_length
            is_manifest = request.want_text and request.byte_range is None
            if is_manifest and (size_bytes or 0) > TEXT_BYTES_MAX:
                limit_mib = TEXT_BYTES_MAX >> 20
                return _too_large(request, f"the manifest is larger than {limit_mib} MiB")
            statuses = response.headers.getall("Cache-Status", [])
            self._feed(
                ev.ResponseStarted(
                    request_id=request.request_id,
                    status=response.status,
                    url=strip_query(str(response.url)) if response.history else request.url,
                    content_type=response.headers.get("Content-Type"),
                    cache_status=", ".join(statuses) or None,
                    size_bytes=size_bytes,
                    content_range=content_range,
                    validator=read_validator(response.headers, response.status),
                )
            )
            return await self._body(request, response, body)

    async def _body(
        self, request: ev.SendRequest, response: aiohttp.ClientResponse, body: Body
    ) -> ev.ResponseFailed | None:
        told_bytes, told_s = 0, 0.0
        loop = asyncio.get_running_loop()
        try:
            async for chunk in response.content.iter_any():
                body.feed(chunk)
                if body.is_enough:
                    break
                is_much = body.received_bytes - told_bytes >= PROGRESS_BYTES
                if told_bytes == 0 or is_much or loop.time() - told_s >= PROGRESS_S:
                    told_bytes, told_s = body.received_bytes, loop.time()
                    self._feed(
                        ev.BytesArrived(request_id=request.request_id, received_bytes=told_bytes)
                    )
            body.end()
        except TooLargeBody as error:
            return _too_large(request, str(error))
        except DamagedBody as error:
            return _damaged(request, str(error))
        except (aiohttp.ClientError, OSError):
            # What came until it broke may be gone on from: all of it is told.
            if body.received_bytes > told_bytes:
                received_bytes = body.received_bytes
                self._feed(
                    ev.BytesArrived(request_id=request.request_id, received_bytes=received_bytes)
                )
            raise
        self._feed(
            ev.ResponseEnded(
                request_id=request.request_id,
                size_bytes=body.received_bytes,
                text=body.kept if request.want_text else None,
            )
        )
        return None

    def _address(self, request: ev.SendRequest) -> tuple[str, dict[str, str]]:
        url, _ = urldefrag(request.url)
        headers: dict[str, str] = {}
        if request.byte_range is not None:
            headers["Range"] = request.byte_range.header()
        if request.validator is not None:
            headers["If-Range"] = request.validator
        if self._cmcd == "query":
            url += f"{'&' if '?' in url else '?'}CMCD={to_query(request.cmcd)}"
        elif self._cmcd == "headers":
            headers |= to_headers(request.cmcd)
        return url, headers


def _failure(request: ev.SendRequest | ev.AskSteering, error: Exception) -> ev.ResponseFailed:
    is_damage = isinstance(error, aiohttp.TooManyRedirects | aiohttp.InvalidURL)
    if isinstance(error, aiohttp.TooManyRedirects):
        detail = f"redirected more than {REDIRECTS_MAX} times"
    elif isinstance(error, TimeoutError):
        detail = f"no connection within {CONNECT_TIMEOUT_S:g} s"
    else:
        detail = _say(error)
    return ev.ResponseFailed(request_id=request.request_id, detail=detail, is_damage=is_damage)


def _damaged(request: ev.SendRequest, detail: str) -> ev.ResponseFailed:
    return ev.ResponseFailed(request_id=request.request_id, detail=detail, is_damage=True)


def _too_large(request: ev.SendRequest, detail: str) -> ev.ResponseFailed:
    return ev.ResponseFailed(request_id=request.request_id, detail=detail, status=TOO_LARGE)


def _say(error: Exception) -> str:
    """One line about what went wrong."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect to {error.host}:{error.port}: {error.os_error.strerror or error}"
    text = str(error).splitlines()[0] if str(error) else ""
    return text or type(error).__name__
