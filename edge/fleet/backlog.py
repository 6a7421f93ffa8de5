"""The files that are not complete: what is next, what waits for something, what is for later."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from typing import Final

from edge.fleet.alarm import NEVER_S
from edge.fleet.files import File, News, State
from nearcast.placement import PlannedFile

WORKED_ON_MAX: Final = 8
"""Files that wait for a manifest or for fills under way."""


class Backlog:
    """Files by number."""

    def __init__(self) -> None:
        self.files: list[File] = []
        """All of the plan, in its order."""
        self.counts: Counter[State] = Counter()
        self._news: list[News] = []
        self._todo: list[int] = []  # a heap
        self._worked_on: dict[int, None] = {}
        self._later: list[tuple[float, int]] = []  # a heap, by when

    def add(self, planned: PlannedFile, manifest_url: str | None) -> File:
        """The next file of the plan."""
        file = File(planned, manifest_url, len(self.files), counts=self.counts, news=self._news)
        self.files.append(file)
        return file

    def take_news(self) -> list[News]:
        """Of all files, since the last call, in the order in which it came."""
        news, self._news[:] = self._news[:], []
        return news

    @property
    def is_worked_on(self) -> bool:
        """Whether a file waits for something that is under way."""
        return bool(self._worked_on)

    def worked_on(self) -> Iterator[File]:
        return (self.files[number] for number in self._worked_on)

    @property
    def due_s(self) -> float:
        """When the next of those for later is to be looked at."""
        return self._later[0][0] if self._later else NEVER_S

    def begin(self) -> None:
        """All files were looked at: these are to be completed."""
        self._todo = [n for n, file in enumerate(self.files) if file.state == "todo"]

    def renew(self, now_s: float) -> None:
        """Look again at those that wait, and at those for later whose time has come."""
        for number in self._worked_on:
            heapq.heappush(self._todo, number)
        self._worked_on.clear()
        while self._later and self._later[0][0] <= now_s:
            number = heapq.heappop(self._later)[1]
            self.files[number].again()
            heapq.heappush(self._todo, number)

    def take(self) -> File | None:
        """The next to be completed; None: there is none, or enough are worked on."""
        while self._todo and len(self._worked_on) < WORKED_ON_MAX:
            file = self.files[heapq.heappop(self._todo)]
            if file.state == "todo":
                return file
            self.put(file)
        return None

    def put(self, file: File, *, is_coming: bool = False) -> None:
        """Where a file belongs that was taken, or has changed. `is_coming`: something that is under
        way will move it on."""
        number = file.number
        if file.state == "given up":
            if file.due_s < NEVER_S:
                heapq.heappush(self._later, (file.due_s, number))
        elif file.state == "todo":
            if is_coming:
                self._worked_on[number] = None
            else:
                heapq.heappush(self._todo, number)
