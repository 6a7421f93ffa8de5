"""What an edge is told and what it wants done.

`EdgeCore` (edge.core) is a machine over these events and effects. The live drivers and the
simulator speak nothing else to it. Bodies never pass through: the core sees start, headers,
progress and end. The one exception is the text of manifests (`FillEnded.text`,
`ObjectRead.text`). Reading one takes many milliseconds, so that is asked for as well:
`ReadManifest` -> `ManifestRead`, one at a time.

Requests: the driver first asks `EdgeCore.find_hit(request, now_s)`, which decides nothing and
changes nothing. If that gives a `ServeObject`, the driver serves it and reports it later, in
batches, with `HitsServed`. Otherwise it feeds `Requested`, and gets exactly one of `ServeObject`,
`ServeFill`, `ServeText` or `PassThrough` for that `request_id`, at once or when
upstream has answered. `ServeFill` may be followed by one `AbortResponse` when the fill breaks
under it. The driver ends every request that it fed with exactly one `ResponseEnded` (all was
sent) or `ClientLeft` (before or in the middle of the answer, also after `AbortResponse`); a
client that left before it was answered gets no answer.

Fills: `StartFill` -> `FillHeaders` -> `FillProgress`* -> `FillEnded`, or `FillFailed` at any point.
The core times them: the driver tells of progress often enough (edge.pacing), says `FillBlocked`
when it is our own side that does not read, and gives up what the core cancels. Of the times, only
that for connecting is the driver's. `StreamOnly`: the fill will not be stored, so nothing need be
kept of it but what its readers have not taken yet.
After `FillEnded` the core says `Commit` or `Discard`; after `FillFailed` the driver has already
let go (but for cause "disk", after which the fill goes on in memory for its waiters, ends with
`FillEnded` and is answered `Discard`). `CancelFill` ends a fill without a further event. `CutFill`
ends one too, but what has arrived is kept: `FillEnded` with `is_cut` tells how much that is (a fill
that came to its end just then says `FillEnded` without). Waiters
stream from a fill while it grows. An object may be served from the moment of its `Commit`; if
writing it fails after that, the driver says `ObjectLost`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from edge.config import EdgeConfig
from nearcast.http1 import Headers as Headers
from nearcast.manifests import Manifest
from nearcast.media import ByteRange
from nearcast.messages import Catalog

Priority = Literal["demand", "prefetch"]

PurgeKind = Literal["url", "prefix", "tag"]

FailureCause = Literal["refused", "timeout", "broken", "integrity", "too_large", "disk"]
"""refused: no connection. timeout: no answer in time. broken: cut off or not HTTP. integrity:
more or fewer bytes than announced. too_large: over the object limit. disk: the store cannot take
it; the fill goes on for its waiters but cannot be committed."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened."""


class Requested(Event, frozen=True, kw_only=True):
    """A client's request head. `target` is path and query as received; `client` names the peer and
    never leaves the node."""

    request_id: int
    method: str
    target: str
    headers: Headers
    client: str


class ClientLeft(Event, frozen=True, kw_only=True):
    """The client closed before it was answered, or mid-body after `sent_bytes`."""

    request_id: int
    sent_bytes: int = 0


class ResponseEnded(Event, frozen=True, kw_only=True):
    """All of an answer that came from an effect (not from find_hit) was sent."""

    request_id: int
    sent_bytes: int


class Hit(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One answer given by `find_hit` alone."""

    at_s: float
    target: str
    headers: Headers
    client: str
    object_id: str
    sent_bytes: int
    url: str = ""
    """The object's key, where the driver knows it."""


class HitsServed(Event, frozen=True, kw_only=True):
    """The hits since the last batch, oldest first."""

    hits: tuple[Hit, ...]


class PassAnswered(Event, frozen=True, kw_only=True):
    """The head of the answer to a `PassThrough` is here; `status` None: there will be none. Told
    before the answer is sent on, for each but a GET: the core then knows what a write has made
    doubtful before its client does."""

    passed: PassThrough
    status: int | None
    headers: Headers = ()


class FillInterim(Event, frozen=True, kw_only=True):
    """Upstream has sent word before its answer (103 and the like; never 100 or 101)."""

    fill_id: int
    status: int
    headers: Headers


class FillHeaders(Event, frozen=True, kw_only=True):
    fill_id: int
    status: int
    headers: Headers


class FillProgress(Event, frozen=True, kw_only=True):
    """So much of the body is here. Told each PROGRESS_BYTES, and at least once in PROGRESS_S while
    bytes arrive: the core takes longer silence for upstream's."""

    fill_id: int
    received_bytes: int


class FillBlocked(Event, frozen=True, kw_only=True):
    """Whether it is our own side that does not read on: a reader or the disk is behind. Told when
    it changes; while it is so, upstream's silence is not its fault."""

    fill_id: int
    is_blocked: bool


class FillEnded(Event, frozen=True, kw_only=True):
    """The whole body is here. `text`: of a manifest of bounded size."""

    fill_id: int
    size_bytes: int
    crc32c: int
    text: bytes | None = None
    is_cut: bool = False
    """It was told to stop; there is more of it."""


class FillFailed(Event, frozen=True, kw_only=True):
    fill_id: int
    cause: FailureCause
    detail: str


class Restored(Event, frozen=True, kw_only=True):
    """What the store held when the node started."""

    objects: tuple[StoredObject, ...]


class ObjectRead(Event, frozen=True, kw_only=True):
    """Answer to `ReadObject`; None when it could not be read."""

    object_id: str
    text: bytes | None


class ManifestRead(Event, frozen=True, kw_only=True):
    """Answer to `ReadManifest`. `manifest` None: it cannot be used; `detail` says why."""

    url: str
    manifest: Manifest | None
    detail: str = ""


class ObjectLost(Event, frozen=True, kw_only=True):
    """A stored object turned out missing or damaged; it must not be served again."""

    object_id: str
    detail: str


class CatalogLearned(Event, frozen=True, kw_only=True):
    """The origin is one of ours and offers this. `base_url` is what its paths are relative to."""

    base_url: str
    catalog: Catalog


class Predicted(Event, frozen=True, kw_only=True):
    """Answer to `Predict`: one probability per row, of the horizon asked for."""

    prediction_id: int
    probabilities: tuple[float, ...]


class PredictionFailed(Event, frozen=True, kw_only=True):
    """No answer will come for this; decide by rule."""

    prediction_id: int
    detail: str


class ModelChanged(Event, frozen=True, kw_only=True):
    """The inference process is ready with a model, or is not there (`model_id` None and why)."""

    model_id: str | None
    detail: str = ""


class Purge(Event, frozen=True, kw_only=True):
    """Let nothing of this be served as if it were fresh; see edge.purge. `value` is a URL or the
    beginning of URLs as clients ask for them, with host or without, or a tag."""

    purge_id: int
    kind: PurgeKind
    value: str
    is_soft: bool = False


class Reconfigured(Event, frozen=True, kw_only=True):
    """These settings are in force from now on. Of the changes only those to `upstream`, `service`,
    `services`, `http` and `server.target_length_max` mean something to the core. What belongs to no
    service any more is neither served nor kept."""

    config: EdgeConfig


class Draining(Event, frozen=True, kw_only=True):
    """The node is about to stop: start nothing new of its own accord."""


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


class SetFillPriority(Effect, frozen=True, kw_only=True):
    """Demand has joined a prefetch."""

    fill_id: int
    priority: Priority


class PauseFill(Effect, frozen=True, kw_only=True):
    """Stop reading this prefetch: demand needs the link."""

    fill_id: int


class ResumeFill(Effect, frozen=True, kw_only=True):
    fill_id: int


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


class FetchCatalog(Effect, frozen=True, kw_only=True):
    """Ask whether upstream is a Nearcast origin, and what it offers."""

    url: str


class Predict(Effect, frozen=True, kw_only=True):
    """Ask the next-episode model; rows are predictor.features vectors."""

    prediction_id: int
    rows: tuple[tuple[float, ...], ...]
