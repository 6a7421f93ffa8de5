"""Completes one file of the plan: pins what is here of it, has fetched what is not.

Its manifest comes first, which says what objects it has: read from the store, or fetched.
"""

from __future__ import annotations

from edge.fleet.fetching import Fetching
from edge.fleet.files import TRIES_MAX, File
from edge.fleet.pieces import TEXT_BYTES, NotPossible, Piece
from edge.fleet.pins import Pins
from edge.fleet.readings import Readings
from edge.fleet.runs import Runs


class Completion:
    """Asked for a file again and again, until it is held or given up."""

    def __init__(self, *, readings: Readings, pins: Pins, runs: Runs, fetching: Fetching) -> None:
        self._readings = readings
        self._pins = pins
        self._runs = runs
        self._fetching = fetching

    def is_coming(self, file: File) -> bool:
        """Whether something that is under way will move it on."""
        if file.pieces is None:
            url = file.manifest_url
            return url is not None and (url in self._readings or self._runs.is_under_way(url))
        return any(self._runs.is_under_way(piece.url) for piece in file.pieces)

    def complete(self, file: File, now_s: float, wall_s: float) -> tuple[int, str]:
        """How many objects were looked at, and why no more can begin now; empty: this file was
        gone through."""
        try:
            pieces = self._readings.pieces(file)
        except NotPossible as error:
            file.give_up(str(error), now_s, for_good=True)
            return 0, ""
        if pieces is None and file.is_reserved:
            file.held()
            return 1, ""
        if pieces is None:
            return 1, self._get_manifest(file, now_s, wall_s)
        is_whole = True
        start = file.start
        for index in range(start, len(pieces)):
            piece = pieces[index]
            entry = self._pins.held(piece.url)
            if entry is not None:
                if not self._pins.pin(entry):
                    file.give_up("no room in the plan's share", now_s)
                    return index - start, ""
                if is_whole:
                    file.start = index + 1
                continue
            if piece.is_reserved:
                continue
            is_whole = False
            if self._runs.is_under_way(piece.url):
                continue
            why = self._fetching.fetch(file, piece, now_s, wall_s)
            if why or file.state == "given up":
                return index - start, why
        if is_whole and start > 0:  # what was here at first may have gone since
            file.start = 0
            return self.complete(file, now_s, wall_s)
        if is_whole:
            if file.is_reserved:
                file.held()
            else:
                file.complete()
        return len(pieces) - start, ""

    def _get_manifest(self, file: File, now_s: float, wall_s: float) -> str:
        """Have it read, or fetched. Why neither can begin now."""
        url = file.manifest_url
        assert url is not None, "given up otherwise"
        if self._readings.ask(url, now_s):
            return ""
        if self._pins.held(url) is not None:
            file.tries += 1
            if file.tries >= TRIES_MAX:
                file.give_up("its manifest cannot be read", now_s)
                return ""
        return self._fetching.fetch(file, Piece(url, TEXT_BYTES), now_s, wall_s)
