"""Whatever happens on the way, an event counts once or was counted as dropped."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config import TelemetryConfig
from edge.drivers.telemetry.spool import Piece, Spool
from nearcast.telemetry import Demand, Noted
from origin.telemetry.cursors import Run, judge
from origin.telemetry.pieces import read_piece
from origin.telemetry.sums import Sums

NOW_S = 1_790_000_000.0
SEGMENT_BYTES = 10_000

STEPS = st.one_of(
    st.tuples(st.just("tell"), st.integers(1, 200)),
    st.tuples(st.just("ship"), st.sampled_from(["ok", "no request", "no answer", "twice"])),
    st.tuples(st.just("late"), st.integers(0, 5)),
    st.tuples(st.just("kill"), st.integers(0, 60)),
    st.tuples(st.just("age"), st.just(0)),
)


class World:
    """An edge with a spool, an origin with cursors and sums, and pieces that arrive late."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run_no = 0
        self.now_s = 0.0
        self.told = 0
        self.dropped_before = 0
        self.runs: dict[str, Run] = {}
        self.sums = Sums()
        self.sent: list[Piece] = []
        self.start()

    def start(self) -> None:
        self.run_no += 1
        config = TelemetryConfig(
            segment_bytes=SEGMENT_BYTES, segment_s=60.0, spool_bytes_max=2_000_000
        )
        self.spool = Spool(self.folder, f"{self.run_no:016x}", config)
        self.spool.open()

    def tell(self, count: int) -> None:
        lines = b"".join(
            msgspec.json.encode(Demand(wall_s=NOW_S, title=f"t{no}", rendition="r", client_bytes=1))
            + b"\n"
            for no in range(self.told, self.told + count)
        )
        self.told += count
        self.spool.append(lines, self.now_s)

    def ship(self, how: str) -> None:
        piece = self.spool.next_piece(self.now_s)
        if piece is None or how == "no request":
            return
        self.sent.append(piece)
        offset_bytes = self.arrive(piece)
        if how == "twice":
            offset_bytes = self.arrive(piece)
        if how != "no answer":
            self.spool.taken(piece.boot_id, piece.segment_no, offset_bytes)

    def arrive(self, piece: Piece) -> int:
        read = read_piece(
            edge="e",
            boot_id=piece.boot_id,
            segment_no=piece.segment_no,
            offset_bytes=piece.offset_bytes,
            first_segment_no=piece.first_segment_no,
            body=piece.body,
            received_wall_s=NOW_S,
        )
        verdict = judge(read, self.runs.setdefault(piece.boot_id, Run()))
        if verdict.outcome == "taken":
            self.sums.add(read)
        return verdict.received.offset_bytes

    def kill(self, torn_bytes: int) -> None:
        self.dropped_before += self.spool.dropped_count
        newest = max(self.folder.iterdir(), default=None)
        if newest is not None and torn_bytes:
            line = msgspec.json.encode(Noted(wall_s=NOW_S, what="torn" * 20))
            with newest.open("ab") as file:
                file.write(line[:torn_bytes])
        self.start()

    def counted(self) -> dict[str, int]:
        return {key[2]: one.client_bytes for key, one in self.sums.demand.items()}


@given(steps=st.lists(STEPS, max_size=60))
@settings(max_examples=60, deadline=None)
def test_every_event_counts_once(steps: list[tuple[str, int | str]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        world = World(Path(name))
        for what, how in steps:
            if what == "tell":
                world.tell(int(how))
            elif what == "ship":
                world.ship(str(how))
            elif what == "late" and world.sent:
                world.arrive(world.sent[-1 - int(how) % len(world.sent)])
            elif what == "kill":
                world.kill(int(how))
            elif what == "age":
                world.now_s += 100.0
        while world.spool.next_piece(world.now_s) is not None:
            world.ship("ok")
        dropped = world.dropped_before + world.spool.dropped_count
        assert dropped == 0  # two megabytes are more than this ever tells
        assert world.counted() == {f"t{no}": 1 for no in range(world.told)}
