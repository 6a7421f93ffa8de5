"""Whether an object of the plan may be fetched at this moment, and from whom.

Each method says in words why not, and sets the alarm for when that may change by time alone.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from edge.fleet.alarm import Alarm
from edge.fleet.files import File
from edge.fleet.leave import Leave
from edge.fleet.pieces import Piece
from edge.fleet.pins import Pins
from edge.fleet.runs import Runs
from edge.fleet.sources import Sources
from edge.upstreams import Upstreams

RETRY_S: Final = 30.0
"""After the store took nothing, or a peer did not have a file."""
ORIGIN_S: Final = 5.0
"""After the origin was found failing."""
PATIENCE_SHARE: Final = 0.5
"""Of a window: so long a peer is waited for that will have a file."""
CONFIRM_MAX: Final = 1_000


class Fetching:
    """Begins planned fills."""

    def __init__(
        self,
        *,
        leave: Leave,
        runs: Runs,
        pins: Pins,
        sources: Sources,
        upstreams: Upstreams,
        alarm: Alarm,
    ) -> None:
        self._leave = leave
        self._runs = runs
        self._pins = pins
        self._sources = sources
        self._upstreams = upstreams
        self._alarm = alarm
        self._confirm: deque[tuple[File, Piece]] = deque(maxlen=CONFIRM_MAX)
        self._rest_until_s = 0.0
        self.is_held = False
        """The edge is in maintenance."""
        self.is_stopped = False
        self.waits_for_clients = False

    def follow(self) -> None:
        """Another plan: what was to be confirmed is forgotten."""
        self._confirm.clear()

    def rest(self, now_s: float) -> None:
        """The store takes nothing."""
        self._rest_until_s = now_s + RETRY_S

    def fetch(self, file: File, piece: Piece, now_s: float, wall_s: float) -> str:
        """Begin to fetch an object. Why nothing can begin now; empty: it is under way, or the file
        has to wait by itself."""
        why_not = self._why_not_now(now_s, wall_s)
        if why_not:
            return why_not
        if not self._pins.has_room(self._runs.coming_bytes + piece.size_bytes):
            file.give_up("no room in the plan's share", now_s)
            return ""
        if piece.size_bytes > self._leave.left_bytes:
            if len(self._runs):
                return "what is under way"  # it may take less than was set aside for it
            file.give_up("beyond the plan's bytes", now_s, for_good=True)
            return ""
        if not self._leave.may_begin(piece.size_bytes, wall_s):
            self._alarm.at_wall(self._leave.next_window_s(wall_s), now_s, wall_s)
            return "the next window"
        source = self._sources.choose(
            file.planned, piece.url, now_s, is_patient=self._is_patient(wall_s)
        )
        if source is None:
            file.wait("a peer should have it soon", now_s + RETRY_S)
            return ""
        edge, peer = source
        if not edge and not self._upstreams.is_well(piece.url):
            self._alarm.at(now_s + ORIGIN_S)
            return "the origin, which fails"
        return self._begin(file, piece, now_s, wall_s, edge=edge, peer=peer)

    # -- copies of peers

    def confirm_later(self, file: File, piece: Piece) -> None:
        """This came from a peer: the origin is to be asked about it."""
        self._confirm.append((file, piece))

    def confirm(self, now_s: float, wall_s: float) -> None:
        """Ask the origin whether a copy of a peer is what it has now."""
        if not self._confirm:
            return
        file, piece = self._confirm[0]
        if not self._upstreams.is_well(piece.url):
            self._confirm.popleft()  # it is as good as any cached copy while nobody can be asked
        elif (
            not self._why_not_now(now_s, wall_s)
            and not self._runs.is_under_way(piece.url)
            and self._leave.may_begin(piece.size_bytes, wall_s)
            and not self._begin(file, piece, now_s, wall_s, is_confirming=True)
        ):
            self._confirm.popleft()

    # -- parts

    def _begin(
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
        why = self._runs.begin(
            file, piece, now_s, wall_s, edge=edge, peer=peer, is_confirming=is_confirming
        )
        if why:
            self._alarm.at_wall(self._leave.next_s(wall_s), now_s, wall_s)
        return why

    def _why_not_now(self, now_s: float, wall_s: float) -> str:
        if self.is_stopped:
            return "nothing: the node stops"
        if self.is_held:
            return "the end of maintenance"
        if not self._leave.is_open(wall_s):
            self._alarm.at_wall(self._leave.next_window_s(wall_s), now_s, wall_s)
            return "the next window"
        if now_s < self._rest_until_s:
            self._alarm.at(self._rest_until_s)
            return "a store that takes something"
        if self._runs.must_wait:
            self.waits_for_clients = True
            return "clients, who come first"
        return "what is under way" if self._runs.is_full else ""

    def _is_patient(self, wall_s: float) -> bool:
        """Whether there is time to wait for a peer that should hold it first."""
        window = self._leave.clock.window(wall_s)
        if window is None:
            return False
        length_s = window.until_wall_s - window.from_wall_s
        return wall_s < window.from_wall_s + PATIENCE_SHARE * length_s
