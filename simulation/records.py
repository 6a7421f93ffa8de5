"""What the simulated network records beside what the cores record themselves."""

from __future__ import annotations

from nearcast.record import Record


class Answered(Record, frozen=True, kw_only=True, tag="answered"):
    """A server began an answer."""

    node: str
    client: str
    target: str
    status: int
    size_bytes: int | None


class Received(Record, frozen=True, kw_only=True, tag="received"):
    """A client has the whole of an answer."""

    node: str
    target: str
    status: int
    size_bytes: int
