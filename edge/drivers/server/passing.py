"""The seam between the server and the client towards upstream, for requests that are passed on.

    exchange = upstream.exchange(effect, framing, sink)
    exchange.send(...)* -> exchange.end_upload(...)      the request's body, if it has one
    sink.interim(...)* -> sink.head(...) -> sink.data(...)* -> sink.end(...)    its answer
    sink.failed(...)                                     instead of what is left of the answer

Everything is a callback on the loop's thread; none is called from within `exchange` itself. After
`end`, `failed` or `cancel` neither side calls the other again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from edge.drivers.body import Buffer
from edge.drivers.upstream.exchange import ExchangeSink
from edge.effects import PassThrough
from edge.events import Headers
from nearcast.http1 import Framing


class Exchange(Protocol):
    """One request at upstream."""

    @property
    def has_room(self) -> bool:
        """Whether more of the upload may be sent now; what is sent nevertheless is kept."""

    def when_room(self, callback: Callable[[], None]) -> None:
        """Call back once when there is room."""

    def send(self, data: Buffer) -> None:
        """Payload of the request; framing is the exchange's business."""

    def end_upload(self, trailers: Headers) -> None: ...

    def pause(self) -> None:
        """The client does not read: stop reading upstream, soon."""

    def resume(self) -> None: ...

    def cancel(self) -> None:
        """The answer is not wanted any more. Idempotent."""


class Forwarder(Protocol):
    """The client towards upstream, as far as the server knows it."""

    def exchange(self, effect: PassThrough, framing: Framing, sink: ExchangeSink) -> Exchange:
        """Send a request on. `framing` is that of the client's body: 0 for none, a number of bytes
        to announce, or "chunked". With 0 the upload has ended already."""
