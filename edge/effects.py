"""What the core of an edge wants done, and what is told of stored objects on both ways.

The order in which effects and events follow each other is in edge.events.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from nearcast.http1 import Headers
from nearcast.media import ByteRange
from nearcast.telemetry import Line

Priority = Literal["demand", "prefetch"]


class StoredObject(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept beside a body, in the store and in the index. Times are wall clock (HTTP
    dates)."""

    object_id: str
    url: str
    vary: Headers = ()
    status: int
    headers: Headers
    size_bytes: int
    crc32c: int
    requested_wall_s: float
    received_wall_s: float
    is_prefetch: bool = False
    is_planned: bool = False
    """Pinned for a placement plan; a restart finds it so."""
    stale_from_wall_s: float | None = None
    """It was purged softly: from then on it is stale, whatever its fields say."""
    part_first: int = 0
    """Where in the resource the body begins..."""
    part_of_bytes: int | None = None
    """...when it is only a part of one of so many bytes; None: the body is the whole."""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """The first bytes of a resource of `of_bytes`, which are in the store as `object_id`."""

    object_id: str
    size_bytes: int
    of_bytes: int
    headers: Headers


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """Something the core wants done."""


class ServeObject(Effect, frozen=True, kw_only=True):
    """Send a stored object, or the part `byte_range` of it. `headers` are complete; Date is the
    origin's, and only where it is missing the driver adds one."""

    request_id: int
    object_id: str
    status: int
    headers: Headers
    byte_range: ByteRange | None
    send_body: bool


class ServeFill(Effect, frozen=True, kw_only=True):
    """Send a fill while it grows, or the part `byte_range` of it. The body size is known iff
    `headers` has content-length."""

    request_id: int
    fill_id: int
    status: int
    headers: Headers
    byte_range: ByteRange | None
    send_body: bool


class ServeText(Effect, frozen=True, kw_only=True):
    """Send a short body of our own: errors, 304, 416."""

    request_id: int
    status: int
    headers: Headers
    text: bytes = b""


class ServeInterim(Effect, frozen=True, kw_only=True):
    """Pass word from upstream on to a client that speaks HTTP/1.1; its answer is still to come."""

    request_id: int
    status: int
    headers: Headers


class PassThrough(Effect, frozen=True, kw_only=True):
    """Forward this request alone, body and all, and send the answer as it comes, storing nothing.
    `headers` are the ones to send upstream; `cache_status` goes on the answer. Of the answer's
    fields the client gets those in `shown` (None: all) but for those in `hidden`
    (`edge.forwarding.visible`)."""

    request_id: int
    method: str
    url: str
    headers: Headers
    cache_status: str
    shown: frozenset[str] | None = None
    hidden: frozenset[str] = frozenset()


class AbortResponse(Effect, frozen=True, kw_only=True):
    """The fill under a `ServeFill` broke: close the connection so that the client notices."""

    request_id: int


class StartFill(Effect, frozen=True, kw_only=True):
    """GET `url` once.

    `continues`: the store holds the beginning, and `headers` ask for the rest. If the answer is
    that (`cache.http.parts.continues`, which the core asks too), the body begins with what is held,
    and every size and checksum is of the whole; else what is held plays no part. If it cannot be
    read, `ObjectLost` says so before `FillFailed` does."""

    fill_id: int
    url: str
    headers: Headers
    priority: Priority
    continues: Held | None = None
    peer: str = ""
    """Ask this edge (scheme and authority) for what clients would ask of it, instead of upstream;
    only ever one that a signed plan names."""
    leave_bytes: int | None = None
    """Read so much of the body, tell of it, and wait for `AllowFill`; None: all of it."""


class SetFillPriority(Effect, frozen=True, kw_only=True):
    """Demand has joined a prefetch."""

    fill_id: int
    priority: Priority


class PauseFill(Effect, frozen=True, kw_only=True):
    """Stop reading this prefetch: demand needs the link."""

    fill_id: int


class ResumeFill(Effect, frozen=True, kw_only=True):
    fill_id: int


class AllowFill(Effect, frozen=True, kw_only=True):
    """Read on, until so much of the body is here altogether."""

    fill_id: int
    leave_bytes: int


class CancelFill(Effect, frozen=True, kw_only=True):
    fill_id: int


class CutFill(Effect, frozen=True, kw_only=True):
    """Nobody waits for the rest: stop fetching, and keep what is here."""

    fill_id: int


class StreamOnly(Effect, frozen=True, kw_only=True):
    """This fill will not be stored: write nothing, let go what its readers have taken. Those it
    has got so far are all it will have. Not said of manifests, whose text is wanted whole."""

    fill_id: int


class Commit(Effect, frozen=True, kw_only=True):
    """Keep the finished fill as `stored`; `in_memory`: hold its body in RAM too."""

    fill_id: int
    stored: StoredObject
    in_memory: bool


class Discard(Effect, frozen=True, kw_only=True):
    """Let the finished fill go once its waiters are served."""

    fill_id: int


class UpdateStored(Effect, frozen=True, kw_only=True):
    """A 304 refreshed this object's header fields and times."""

    stored: StoredObject


class DropObject(Effect, frozen=True, kw_only=True):
    """Remove from RAM and disk. Answers under way keep their open file or buffer."""

    object_id: str


class SetInMemory(Effect, frozen=True, kw_only=True):
    """Load the body into RAM, or let the RAM copy go (the disk copy stays)."""

    object_id: str
    in_memory: bool


class ReadObject(Effect, frozen=True, kw_only=True):
    """Hand over a stored manifest's text."""

    object_id: str


class ReadManifest(Effect, frozen=True, kw_only=True):
    """Read what was fetched as a manifest (`edge.texts.read_manifest`). Nothing waits for it."""

    url: str
    text: bytes


class PurgeDone(Effect, frozen=True, kw_only=True):
    """Answer to `Purge`: so many objects were dropped or made stale."""

    purge_id: int
    count: int


class ViewerForgotten(Effect, frozen=True, kw_only=True):
    """Answer to `ForgetViewer`: what there was, and is no more."""

    forget_id: int
    viewer_count: int
    session_count: int
    question_count: int
    """Put to a model, of which the outcome was waited for."""


class WriteTelemetry(Effect, frozen=True, kw_only=True):
    """Write these events down and see that the origin gets them."""

    events: tuple[Line, ...]


class FetchCatalog(Effect, frozen=True, kw_only=True):
    """Ask whether upstream is a Nearcast origin, and what it offers."""

    url: str


class Predict(Effect, frozen=True, kw_only=True):
    """Ask the next-episode model; rows are predictor.features vectors."""

    prediction_id: int
    rows: tuple[tuple[float, ...], ...]
