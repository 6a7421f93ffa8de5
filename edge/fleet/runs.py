"""The planned fills that are under way: begun, held to their leave, given up, and ended.

While a client waits for upstream they are paused. One that a client has joined is the client's from
then on, and what it still reads costs the plan nothing.
"""

from __future__ import annotations

from typing import Final

import msgspec

from edge.config import FleetConfig
from edge.fill import Fill, FillOutcome
from edge.fills import Fills
from edge.fleet.files import File
from edge.fleet.leave import Leave, Reader
from edge.fleet.pieces import Piece
from edge.ledger import Ledger
from edge.open_fills import OpenFills

SIZE_SLACK: Final = 4
"""An object may be so many times as large as its rate makes likely..."""
SIZE_LEAST: Final = 256_000
"""...and a manifest, or anything small, so large."""
MORE_THAN_LEFT: Final = "more than the plan has left"


class Run(msgspec.Struct):
    """One."""

    file: File
    piece: Piece
    edge: str
    """Which edge it comes from; empty: the origin."""
    reader: Reader
    is_confirming: bool = False
    """It asks the origin about a copy that came from a peer."""
    is_sized: bool = False
    is_joined: bool = False


class Runs:
    """Planned fills by id."""

    def __init__(
        self,
        config: FleetConfig,
        *,
        leave: Leave,
        ledger: Ledger,
        open_fills: OpenFills,
        fills: Fills,
    ) -> None:
        self._config = config
        self._leave = leave
        self._ledger = ledger
        self._open = open_fills
        self._fills = fills
        self._runs: dict[int, Run] = {}

    def __len__(self) -> int:
        return len(self._runs)

    @property
    def is_full(self) -> bool:
        return len(self._runs) >= self._config.in_flight_max or self._open.is_full

    @property
    def must_wait(self) -> bool:
        """Clients come first."""
        return self._open.demand_count > 0 or self._ledger.pass_count > 0

    @property
    def coming_bytes(self) -> int:
        """What will be pinned of those under way, about."""
        return sum(run.piece.size_bytes for run in self._runs.values() if not run.is_confirming)

    def is_under_way(self, url: str) -> bool:
        """Whether anybody fetches it."""
        return bool(self._open.of_url(url))

    def begin(
        self,
        file: File,
        piece: Piece,
        now_s: float,
        wall_s: float,
        *,
        edge: str = "",
        peer: str = "",
        is_confirming: bool = False,
    ) -> str:
        """Begin to fetch, from this peer or from the origin. Why not; empty: it is under way."""
        reader = self._leave.begin(piece.size_bytes, wall_s)
        if reader is None:
            if self._leave.is_unwritten:
                return "what is spent to be written down"
            return "the plan's rate"
        fill = self._fills.place(
            piece.url,
            now_s,
            peer=peer,
            bytes_max=max(piece.size_bytes * SIZE_SLACK, SIZE_LEAST),
            leave_bytes=reader.until_bytes,
        )
        if fill is None:
            self._leave.end(reader, 0, wall_s)
            return "nothing: it belongs to no service"
        self._runs[fill.fill_id] = Run(file, piece, edge, reader, is_confirming)
        return ""

    def ended(self, outcome: FillOutcome, wall_s: float) -> Run | None:
        """A fill is over; None: it was none of these."""
        run = self._runs.pop(outcome.fill_id, None)
        if run is not None and not run.is_joined:
            self._leave.end(run.reader, outcome.received_bytes, wall_s)
        return run

    def steer(self, stop: str, now_s: float, wall_s: float) -> bool:
        """Pause, go on, or, for the reason `stop`, give up. Whether one waits for leave."""
        must_wait = self.must_wait
        waits = False
        for fill_id, run in tuple(self._runs.items()):
            fill = self._open.get(fill_id)
            if fill is None or run.is_joined:
                continue
            if not fill.is_unasked:
                run.is_joined = True
                self._leave.end(run.reader, fill.prefetch_bytes, wall_s)
            elif stop:
                self._open.cancel(fill, stop, now_s)
            elif not self._is_within(fill, run):
                self._open.cancel(fill, MORE_THAN_LEFT, now_s)
            else:
                waits = self._feed(fill, run, must_wait, now_s, wall_s) or waits
        return waits

    def cancel_all(self, detail: str, now_s: float) -> None:
        for fill in self._open.planned():
            self._open.cancel(fill, detail, now_s)

    def _is_within(self, fill: Fill, run: Run) -> bool:
        """Whether what it turns out to be is within the plan's bytes."""
        if fill.state != "coming" or run.is_sized or fill.size_bytes is None:
            return True
        run.is_sized = True
        return self._leave.resize(run.reader, fill.size_bytes)

    def _feed(self, fill: Fill, run: Run, must_wait: bool, now_s: float, wall_s: float) -> bool:
        """Whether it waits for leave."""
        waits = self._leave.received(run.reader, fill.received_bytes, wall_s)
        if waits and not must_wait:
            until_bytes = self._leave.extend(run.reader, wall_s)
            if until_bytes is not None:
                waits = False
                self._open.allow(fill, until_bytes)
        if must_wait or waits:
            self._open.pause(fill, now_s)
        else:
            self._open.resume(fill, now_s)
        return waits
