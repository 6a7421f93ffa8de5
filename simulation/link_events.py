"""What a link is told, and what it says."""

from __future__ import annotations

import msgspec


class LinkEvent(msgspec.Struct, frozen=True, gc=False):
    """Something that happened to a flow."""

    flow_id: int


class FlowOpened(LinkEvent, frozen=True, gc=False):
    """A flow begins; its id is new to this link."""


class BytesOffered(LinkEvent, frozen=True, gc=False):
    """More to send: at most `room_bytes(flow_id)`."""

    size_bytes: int


class EndOffered(LinkEvent, frozen=True, gc=False):
    """Nothing more will be offered; the end travels behind the bytes. `is_reset`: a broken end."""

    is_reset: bool = False


class FlowHeld(LinkEvent, frozen=True, gc=False):
    """The receiver takes no more for now; the flow keeps what it has queued."""


class FlowReleased(LinkEvent, frozen=True, gc=False):
    """The receiver takes bytes again."""


class FlowDropped(LinkEvent, frozen=True, gc=False):
    """The receiver is gone: forget the flow and all its bytes, without a further effect."""


class BytesDelivered(LinkEvent, frozen=True, gc=False):
    """Effect: so many more bytes have reached the other end."""

    size_bytes: int


class EndDelivered(LinkEvent, frozen=True, gc=False):
    """Effect: the end has reached the other end, and the flow is over."""

    is_reset: bool


class RoomFreed(LinkEvent, frozen=True, gc=False):
    """Effect: a flow whose queue was full takes more."""
