"""What of a new plan is held already: all its files are looked at once, title by title."""

from __future__ import annotations

from collections import deque
from typing import Final

from edge.fleet.files import File
from edge.fleet.pieces import NotPossible
from edge.fleet.pins import SLICE, Pins
from edge.fleet.readings import Readings

READING_MAX: Final = 4
"""Manifests that are read from the store at a time."""


class Survey:
    """One look at all files of a plan, in slices."""

    def __init__(self, readings: Readings, pins: Pins) -> None:
        self._readings = readings
        self._pins = pins
        self._files: dict[str, list[File]] = {}
        self._left: deque[str] = deque()

    def add(self, manifest_url: str, file: File) -> None:
        """One of its files."""
        files = self._files.get(manifest_url)
        if files is None:
            files = self._files[manifest_url] = []
            self._left.append(manifest_url)
        files.append(file)

    @property
    def is_over(self) -> bool:
        return not self._left

    def look(self, now_s: float) -> None:
        """At a slice of what is left."""
        self._readings.forget_unread(now_s)
        looked_at = 0
        for _ in range(len(self._left)):
            if looked_at >= SLICE:
                break
            url = self._left.popleft()
            if not self._readings.is_known(url):
                is_room = url in self._readings or len(self._readings) < READING_MAX
                if not is_room:
                    self._left.appendleft(url)
                    break
                if self._readings.ask(url, now_s):
                    self._left.append(url)
                    looked_at += 1
                    continue
                # Without its manifest nothing of it can be told; it may be fetched later.
                for file in self._files[url]:
                    if file.is_reserved:
                        file.held()  # as far as it will be: nothing is fetched for it
                    else:
                        file.state = "todo"
                looked_at += 1
                continue
            for file in self._files[url]:
                looked_at += self._look_at(file, now_s)

    def _look_at(self, file: File, now_s: float) -> int:
        try:
            pieces = self._readings.pieces(file)
        except NotPossible as error:
            file.give_up(str(error), now_s, for_good=True)
            return 1
        assert pieces is not None, "its manifest is on the map"
        found = [self._pins.claim(piece.url) for piece in pieces]
        if all(is_held or piece.is_reserved for is_held, piece in zip(found, pieces, strict=True)):
            file.held()
        else:
            file.state = "todo"
        file.pieces = None  # there may be a hundred thousand files
        return len(pieces)
