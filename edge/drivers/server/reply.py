"""One request on its way to its answer.

It is first asked as a hit, which decides nothing; else it is told to the core, which gives it
exactly one answering effect. The core hears of its end exactly once, whatever becomes of the
connection.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from cache.http.headers import end_to_end
from edge.answers import ERROR_FIELDS, RETRY_AFTER_S, error_text, passed_head
from edge.drivers.body import Body, BodyMissing, Buffer
from edge.drivers.growing import GrowingReader
from edge.drivers.server.answered import Answered
from edge.drivers.server.heads import CONTINUE, interim
from edge.drivers.server.passing import Exchange
from edge.drivers.server.sending import NOT_HERE
from edge.drivers.server.upload import Upload, passable
from edge.effects import PassThrough, ServeFill, ServeObject, ServeText
from edge.events import FailureCause, Headers, Hit
from nearcast.errors import LocalProtocolError
from nearcast.http1 import RequestHead, ResponseHead, format_chunk, format_last_chunk

if TYPE_CHECKING:
    from edge.drivers.server.connection import Connection
    from edge.drivers.server.server import EdgeServer

logger = logging.getLogger(__name__)

TRIES_MAX: Final = 3
"""Times an answer is asked for anew when the object that should be sent turns out to be gone."""

Answer = ServeObject | ServeFill | ServeText | PassThrough


class Reply:
    """Answers one request. `begin` once; it ends with `Connection.answered`, or by `lost`."""

    def __init__(
        self, server: EdgeServer, connection: Connection, head: RequestHead, upload: Upload | None
    ) -> None:
        self.is_begun = False
        """Something of the final answer was written, or will be."""
        self.passed_bytes = 0
        """Of the body of a request passed through."""
        self._server = server
        self._connection = connection
        self._head = head
        self._upload = upload
        self._requested = server.requested(head, connection.client)
        self._hit: ServeObject | None = None
        self._hit_at_s = 0.0
        self._passed: PassThrough | None = None
        self._exchange: Exchange | None = None
        self._body: Body | None = None
        self._opening: asyncio.Task[None] | None = None
        self._tries = 0
        self._is_told = False
        self._is_over = False
        self._is_chunked = False
        self._is_ended_by_close = False
        self._keeps_alive = False

    def begin(self, raw: bytes) -> None:
        """`raw`: the head as it came, for the hit path to remember."""
        server = self._server
        special = server.special(self._requested)
        if special is not None:
            self._write_whole(*special)
            return
        if self._upload is None:
            self._hit_at_s = server.now_s()
            self._hit = server.core.find_hit(self._requested, self._hit_at_s)
        if self._hit is not None:
            server.hits.learn(raw, self._requested, self._hit_at_s)
            self.answer(self._hit)
        else:
            self._ask()

    def _ask(self) -> None:
        """Let the core decide."""
        self._hit = None
        self._tries += 1
        self._is_told = True
        self._server.ask(self._requested, self)

    # What the core wants

    def answer(self, effect: Answer) -> None:
        try:
            match effect:
                case ServeText():
                    self._write_whole(effect.status, effect.headers, effect.text)
                case PassThrough():
                    self._pass(effect)
                case ServeObject():
                    self._send_object(effect)
                case ServeFill():
                    self._send_fill(effect)
        except LocalProtocolError as error:
            self._is_broken(error)

    def abort(self) -> None:
        """The fill under the answer broke."""
        body = self._body
        if isinstance(body, GrowingReader) and body.growing.failure is not None:
            return  # it comes to the break by itself, after what arrived before it
        self._cut()

    # From the store, and from fills

    def _send_object(self, effect: ServeObject) -> None:
        head = self._final(effect.status, effect.headers)
        if not effect.send_body:
            self._write_head(head)
            return
        first, size_bytes = _part(effect)
        assert size_bytes is not None, "a stored object has a size"
        self.is_begun = True
        sent_bytes = self._server.send_object(
            self._connection, head, effect.object_id, first, size_bytes, self._sent
        )
        if sent_bytes >= 0:
            self._end(sent_bytes, is_whole=True)
        if sent_bytes != NOT_HERE:
            return
        self.is_begun = False
        self._opening = asyncio.get_running_loop().create_task(
            self._open(head, effect.object_id, first, size_bytes)
        )

    async def _open(self, head: bytes, object_id: str, first: int, size_bytes: int) -> None:
        """The slow way to a body: from a disk that must be waited for, or is being written."""
        try:
            body = await self._server.bodies.open(object_id, first, size_bytes)
        except BodyMissing:
            self._is_missing()
            return
        if self._is_over:
            body.close()
        else:
            self._send_body(head, body, size_bytes)

    def _send_fill(self, effect: ServeFill) -> None:
        growing = self._server.bodies.fills.get(effect.fill_id)
        if growing is None:
            self._is_missing()
            return
        first, left_bytes = _part(effect)
        if left_bytes is None and effect.send_body:
            self._is_of_unknown_size()
        head = self._final(effect.status, effect.headers)
        if effect.send_body:
            self._send_body(head, growing.reader(first), left_bytes)
        else:
            self._write_head(head)

    def _send_body(self, head: bytes, body: Body, left_bytes: int | None) -> None:
        self.is_begun = True
        self._body = body
        self._connection.send_body(
            head, body, left_bytes=left_bytes, is_chunked=self._is_chunked, done=self._sent
        )

    def _sent(self, is_whole: bool, sent_bytes: int) -> None:
        if not is_whole:
            cause = self._body.failure if self._body is not None else None
            logger.info("answer.cut sent_bytes=%d cause=%s", sent_bytes, cause or "sending failed")
        self._end(sent_bytes, is_whole=is_whole)

    def _is_missing(self) -> None:
        """What should be sent is not there; the core has heard, and answers anew."""
        if self._is_over:
            return
        if self._is_told:
            self._server.tell_end(self._requested.request_id, 0, is_whole=False)
            self._is_told = False
        if self._tries < TRIES_MAX:
            self._requested = self._server.renumbered(self._requested)
            self._ask()
        else:
            logger.error("answer.failed cause=body_missing tries=%d", TRIES_MAX)
            self._hit = None
            self._own_answer(503, "the object is gone")

    # Passing through

    def _pass(self, effect: PassThrough) -> None:
        self._passed = effect
        upload = self._upload
        framing = upload.framing if upload is not None else 0
        answered = Answered(effect, self, self._server.tell, self._server.bodies)
        self._exchange = self._server.forwarder.exchange(effect, framing, answered)
        answered.exchange = self._exchange
        if upload is not None:
            if upload.expects_continue and not upload.has_begun:
                self._connection.write(CONTINUE)
            self._connection.flow_to(self._exchange)

    def interim(self, status: int, headers: Headers) -> None:
        if self._head.minor_version and not self.is_begun and not self._is_over:
            self._connection.write(interim(status, end_to_end(headers)))

    def head(self, head: ResponseHead) -> None:
        if self._is_over or self._passed is None:
            return
        headers = passed_head(self._passed, end_to_end(head.headers))
        if head.framing in ("chunked", "close"):
            self._is_of_unknown_size()
        try:
            self._connection.write(self._final(head.status, headers))
        except LocalProtocolError as error:
            self._is_broken(error)
        else:
            self.is_begun = True

    def data(self, data: Buffer) -> None:
        if self._is_over or not len(data):
            return
        self.passed_bytes += len(data)
        self._connection.write(format_chunk(data) if self._is_chunked else data)
        if self._connection.is_paused and self._exchange is not None:
            self._exchange.pause()

    def end(self, trailers: Headers) -> None:
        if self._is_over:
            return
        self._exchange = None
        if self._is_chunked:
            try:
                last = format_last_chunk(passable(trailers))
            except LocalProtocolError:
                last = format_last_chunk()
            self._connection.write(last)
        self._end(self.passed_bytes, is_whole=True)

    def failed(self, cause: FailureCause, detail: str) -> None:
        if self._is_over or self._passed is None:
            return
        self._exchange = None
        if self.is_begun:
            logger.info("answer.cut sent_bytes=%d cause=%s", self.passed_bytes, detail)
            self._cut()
            return
        self._own_answer(
            504 if cause == "timeout" else 502,
            f"upstream: {detail}",
            (("cache-status", self._passed.cache_status),),
        )

    def resume(self) -> None:
        """The client takes more."""
        if self._exchange is not None:
            self._connection.waits_for_client(False)
            self._exchange.resume()

    # Writing

    def _final(self, status: int, headers: Headers) -> bytes:
        """The head of the final answer. Raises LocalProtocolError."""
        upload = self._upload
        self._keeps_alive = (
            self._head.is_keep_alive
            and not self._is_ended_by_close
            and not self._server.is_draining
            # A body that is still under way would have to be read through first.
            and (
                upload is None
                or upload.is_complete
                or (self._exchange is None and upload.discard())
            )
        )
        return self._server.heads.final(
            status,
            headers,
            minor_version=self._head.minor_version,
            is_keep_alive=self._keeps_alive,
            is_chunked=self._is_chunked,
        )

    def _is_of_unknown_size(self) -> None:
        """The body ends with a last chunk or, for HTTP/1.0, with the connection."""
        if self._head.minor_version:
            self._is_chunked = True
        else:
            self._is_ended_by_close = True

    def _write_head(self, head: bytes) -> None:
        """A head that is all of the answer."""
        self.is_begun = True
        self._connection.write(head)
        self._end(0, is_whole=True)

    def _write_whole(self, status: int, headers: Headers, text: bytes) -> None:
        if self._head.method == "HEAD" or status == 304:
            text = b""
        elif not any(name == "content-length" for name, _ in headers):
            headers = (*headers, ("content-length", str(len(text))))
        head = self._final(status, headers)
        self.is_begun = True
        self._connection.write(head + text)
        self._end(len(text), is_whole=True)

    def _own_answer(self, status: int, detail: str, headers: Headers = ()) -> None:
        """An error that the core has no part in."""
        self._is_chunked = self._is_ended_by_close = False
        self._write_whole(
            status,
            (*ERROR_FIELDS, ("retry-after", str(RETRY_AFTER_S)), *headers),
            error_text(status, detail),
        )

    def _is_broken(self, error: LocalProtocolError) -> None:
        """A field of upstream's would split the answer."""
        logger.error("answer.broken cause=%s", error)
        if self.is_begun:
            self._cut()
        else:
            self._own_answer(502, "upstream sent a header field that cannot be passed on")

    # Ending

    def lost(self, sent_bytes: int) -> None:
        """The client is gone, or gets no answer any more."""
        self._let_go(self.passed_bytes + sent_bytes, is_whole=False)

    def _cut(self) -> None:
        if not self._is_over:
            self._end(self.passed_bytes + self._connection.stop_sending(), is_whole=False)

    def _end(self, sent_bytes: int, *, is_whole: bool) -> None:
        if not self._is_over:
            self._let_go(sent_bytes, is_whole=is_whole)
            self._connection.answered(
                is_whole=is_whole,
                keep_alive=self._keeps_alive,
                is_ended_by_close=self._is_ended_by_close,
            )

    def _let_go(self, sent_bytes: int, *, is_whole: bool) -> None:
        if self._is_over:
            return
        self._is_over = True
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.cancel()
        if self._opening is not None and self._opening is not asyncio.current_task():
            self._opening.cancel()
        if self._hit is not None:
            self._server.ring.append(
                Hit(
                    at_s=self._hit_at_s,
                    target=self._requested.target,
                    headers=self._requested.headers,
                    client=self._requested.client,
                    object_id=self._hit.object_id,
                    sent_bytes=sent_bytes,
                )
            )
        elif self._is_told:
            self._server.tell_end(self._requested.request_id, sent_bytes, is_whole=is_whole)


def _part(effect: ServeObject | ServeFill) -> tuple[int, int | None]:
    """The first byte of the body to send, and how many; None: all there will be."""
    if effect.byte_range is not None:
        return effect.byte_range.first, effect.byte_range.size_bytes
    for name, value in effect.headers:
        if name == "content-length":
            return 0, int(value)
    return 0, None
