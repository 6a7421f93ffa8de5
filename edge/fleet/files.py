"""The files of a plan, and how far each is."""

from __future__ import annotations

from collections import Counter
from typing import Final, Literal

from edge.fleet.alarm import NEVER_S
from edge.fleet.pieces import Piece
from nearcast.placement import PlannedFile

State = Literal["unseen", "todo", "held", "given up"]
"""unseen: what is held of it is not known yet. todo: something is missing, or not pinned."""

TRIES_MAX: Final = 3
RETRY_S: Final = 300.0
RETRY_S_MAX: Final = 3_600.0


class File:
    """One."""

    __slots__ = (
        "_counts",
        "_state",
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
        self, planned: PlannedFile, manifest_url: str | None, number: int, counts: Counter[State]
    ) -> None:
        """`number`: its place in the plan. `counts`: files by state, kept here."""
        self.planned = planned
        self.manifest_url = manifest_url
        self.number = number
        self._counts = counts
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
        """For now, or as long as this plan is followed."""
        self.state, self.reason = "given up", reason
        self.pieces, self.start, self.tries = None, 0, 0
        self.due_s = NEVER_S if for_good else now_s + self.retry_s
        self.retry_s = min(self.retry_s * 2, RETRY_S_MAX)

    def wait(self, reason: str, until_s: float) -> None:
        """Look at it again then."""
        self.state, self.reason, self.due_s = "given up", reason, until_s

    def held(self) -> None:
        self.state, self.reason = "held", ""
        self.pieces, self.start, self.tries = None, 0, 0
        self.retry_s = RETRY_S
