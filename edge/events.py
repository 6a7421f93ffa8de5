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
from edge.effects import PassThrough, StoredObject
from nearcast.http1 import Headers as Headers
from nearcast.manifests import Manifest
from nearcast.messages import Catalog

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
    """Answer to `Predict`: for each row one probability per horizon, in the order of
    `nearcast.horizons.HORIZONS`."""

    prediction_id: int
    probabilities: tuple[tuple[float, ...], ...]
    run_id: int | None = None
    """Which running model said so (edge.models.events)..."""
    took_s: float | None = None
    """...and what it took for all that it was asked together."""


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


class ForgetViewer(Event, frozen=True, kw_only=True):
    """Let nothing be known any more of whoever watches from this address, or with this User-Agent
    there."""

    forget_id: int
    client: str
    user_agent: str | None = None


class Noticed(Event, frozen=True, kw_only=True):
    """Something an operator would like to read at the origin; in a fleet it is told there."""

    what: str
    detail: str = ""


class Draining(Event, frozen=True, kw_only=True):
    """The node is about to stop: start nothing new of its own accord."""
