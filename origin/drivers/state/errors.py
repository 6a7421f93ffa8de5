"""What can go wrong with the control state."""

from __future__ import annotations

from typing import ClassVar

from nearcast.errors import NearcastError


class StateError(NearcastError):
    """The database refuses what was asked: a clash of records, a schema of another version."""


class StateUnavailable(StateError):
    """The database cannot be reached, is too busy or full: nothing was changed as far as we know.

    The caller decides whether and when to try again; everything that is written in batches may be
    written twice.
    """

    trouble: ClassVar[str] = "the database is away"
    """For people who are to see to it."""


class StateFull(StateUnavailable):
    """There is no room to write: what is known goes on being read."""

    trouble: ClassVar[str] = "the database's disk is full"


class UrlTaken(StateError):
    """Another edge has the URL; nothing was changed."""

    def __init__(self, url: str, edge: str) -> None:
        super().__init__(
            f"the edge {edge} has the URL {url[:100]}, and players would find one of the two "
            f"there: give each its own, or revoke {edge} first"
        )
