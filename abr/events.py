"""What a player is told and what it wants done.

`PlayerCore` (one title) and `ViewerCore` (a viewer who watches several in a row) are machines over
these. A request gets `ResponseStarted`, `BytesArrived`* and then `ResponseEnded`, or
`ResponseFailed` at any point; after `CancelRequest` nothing more is said about it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from nearcast.cmcd import Cmcd
from nearcast.media import ByteRange

RequestKind = Literal["manifest", "playlist", "index", "init", "segment"]
"""`index`: the part of a media file that lists its segments."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened."""


class Start(Event, frozen=True, kw_only=True):
    """The viewer pressed play."""


class Leave(Event, frozen=True, kw_only=True):
    """The viewer goes away now, whatever is under way."""


class ResponseStarted(Event, frozen=True, kw_only=True):
    """The head of an answer. `url` is the final one after redirects; `cache_status` is the
    Cache-Status header (RFC 9211) if there is one; `size_bytes` the Content-Length; `content_range`
    what a 206 says it is. `validator` is a strong ETag, if the server takes Range requests."""

    request_id: int
    status: int
    url: str
    content_type: str | None = None
    cache_status: str | None = None
    size_bytes: int | None = None
    content_range: ByteRange | None = None
    validator: str | None = None


class BytesArrived(Event, frozen=True, kw_only=True):
    """`received_bytes` of the body are here, counted from its start."""

    request_id: int
    received_bytes: int


class ResponseEnded(Event, frozen=True, kw_only=True):
    """The whole body is here; `text` is set when `SendRequest.want_text` was."""

    request_id: int
    size_bytes: int
    text: bytes | None = None


class ResponseFailed(Event, frozen=True, kw_only=True):
    """No (complete) answer. An HTTP status of 400 or more is a failure too.

    `is_damage`: the connection held, but what came is of no use. `retry_after_s`: the server asks
    to be left alone for so long.
    """

    request_id: int
    detail: str
    status: int | None = None
    is_damage: bool = False
    retry_after_s: float | None = None


class SteeringAnswered(Event, frozen=True, kw_only=True):
    """What a steering server says, found at `url` after redirects."""

    request_id: int
    url: str
    text: bytes


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """Something the player wants done."""


class SendRequest(Effect, frozen=True, kw_only=True):
    """GET `url`. `cmcd` goes with it in the form the driver is configured for (query or header).
    `validator`: the range is wanted only of the version with this ETag, else all of it
    (If-Range)."""

    request_id: int
    kind: RequestKind
    url: str
    byte_range: ByteRange | None
    cmcd: Cmcd
    want_text: bool
    validator: str | None = None


class AskSteering(Effect, frozen=True, kw_only=True):
    """GET `url`, and answer with `SteeringAnswered` or `ResponseFailed`: more than `size_bytes_max`
    is a failure."""

    request_id: int
    url: str
    size_bytes_max: int


class ReportFailure(Effect, frozen=True, kw_only=True):
    """Tell whom it concerns that a request for `url` brought nothing; `status` 0: no answer came.
    Nothing is heard of it again."""

    url: str
    status: int
    session_id: str
    content_id: str
    at_s: float


class CancelRequest(Effect, frozen=True, kw_only=True):
    """Close the connection: the rest of this body is not wanted."""

    request_id: int


class SessionEnded(Effect, frozen=True, kw_only=True):
    """One title is over (`finished`: played to the end, `left`: the viewer went, `failed`)."""

    reason: Literal["finished", "left", "failed"]
    detail: str = ""
