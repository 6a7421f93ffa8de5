"""The files of a plan, and how far each is."""

from __future__ import annotations

from collections import Counter
from typing import Final, Literal

import msgspec

from edge.fleet.alarm import NEVER_S
from edge.fleet.pieces import Piece
from nearcast.placement import PlannedFile

State = Literal["unseen", "todo", "held", "given up"]
"""unseen: what is held of it is not known yet. todo: something is missing, or not pinned."""

TRIES_MAX: Final = 3
RETRY_S: Final = 300.0
RETRY_S_MAX: Final = 3_600.0


class News(msgspec.Struct, frozen=True):
    """That a file was completed, or given up."""

    file: File
    is_complete: bool


class File:
    """One."""

    __slots__ = (
        "_counts",
        "_news",
        "_state",
        "_told",
        "by_source",
        "due_s",
        "manifest_url",
        "number",
        "pieces",
        "planned",
        "reason",
        "retry_s",
        "start",
        "tries",
    )

    def __init__(
        self,
        planned: PlannedFile,
        manifest_url: str | None,
        number: int,
        *,
        counts: Counter[State],
        news: list[News],
    ) -> None:
        """`number`: its place in the plan. `counts`: files by state, kept here; so is `news`."""
        self.planned = planned
        self.manifest_url = manifest_url
        self.number = number
        self._counts = counts
        self._news = news
        self._told = ""  # the reason, as long as it was given up for the same
        self._state: State = "unseen"
        counts["unseen"] += 1
        self.reason = ""
        """Why it was given up."""
        self.due_s = 0.0
        """Not to be looked at before."""
        self.retry_s = RETRY_S
        self.tries = 0
        """Objects of it that failed."""
        self.pieces: tuple[Piece, ...] | None = None
        """While it is worked on."""
        self.start = 0
        """All pieces before were held and pinned."""
        self.by_source: dict[str, int] = {}
        """Bytes, by the edge that they came from; empty: the origin."""

    @property
    def state(self) -> State:
        return self._state

    @state.setter
    def state(self, state: State) -> None:
        self._counts[self._state] -= 1
        self._counts[state] += 1
        self._state = state

    @property
    def is_reserved(self) -> bool:
        """It is only a place: nothing of it is fetched."""
        return self.planned.fetch_until_s == 0.0

    @property
    def source(self) -> str:
        """Where most of it came from; empty: it was held."""
        if not self.by_source:
            return ""
        edge = max(self.by_source, key=lambda one: (self.by_source[one], one))
        return edge or "origin"

    def again(self) -> None:
        """Look at it once more."""
        self.start = 0
        if self.state != "unseen":
            self.state = "todo"

    def give_up(self, reason: str, now_s: float, *, for_good: bool = False) -> None:
        """For now, or as long as this plan is followed. It is news unless it was given up for this
        before: it is tried again many times, and the rest of a plan may have no room."""
        if reason != self._told:
            self._told = reason
            self._news.append(News(self, is_complete=False))
        self.state, self.reason = "given up", reason
        self.pieces, self.start, self.tries = None, 0, 0
        self.due_s = NEVER_S if for_good else now_s + self.retry_s
        self.retry_s = min(self.retry_s * 2, RETRY_S_MAX)

    def wait(self, reason: str, until_s: float) -> None:
        """Look at it again then."""
        self.state, self.reason, self.due_s = "given up", reason, until_s

    def complete(self) -> None:
        """All of it is held now, which is news."""
        self.held()
        self._news.append(News(self, is_complete=True))

    def held(self) -> None:
        """As much as is wanted of it is held."""
        self.state, self.reason, self._told = "held", "", ""
        self.pieces, self.start, self.tries = None, 0, 0
        self.retry_s = RETRY_S
