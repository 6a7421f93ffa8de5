"""An edge's core that follows placement plans, on links that keep to what they are told."""

from __future__ import annotations

import msgspec

from cache.http.headers import get_one
from edge.config import FleetConfig, PrefetchConfig
from edge.effects import (
    AllowFill,
    CancelFill,
    Commit,
    DropObject,
    Effect,
    ReadObject,
    ResumeFill,
    SetFillPriority,
    StartFill,
    StoredObject,
    UpdateStored,
)
from edge.events import Event, FillEnded, FillFailed, FillHeaders, FillProgress, ObjectRead
from edge.fleet.orders import KeepSpent, PlanFollowed, SpentKept
from edge.status import PlacementFigures
from nearcast.placement import EdgePlan, FillWindow, PlannedFile
from tests.edge_bench import EPOCH_S, UPSTREAM
from tests.edge_world import LONG, SEGMENT_BYTES, World

DAY_S = 86_400.0


def planned(title: int, rendition: str = "low", **changes: object) -> PlannedFile:
    file = PlannedFile(
        title=f"e{title}",
        rendition=rendition,
        manifest=f"/media/e{title}/manifest.mpd",
        size_bytes=11 * SEGMENT_BYTES[rendition],
    )
    return msgspec.structs.replace(file, **changes)


class PlacedWorld(World):
    """Prefetches nothing. Planned fills arrive as fast as they have leave to, in steps.

    `peers` holds, by peer URL, the paths that it has; `down` the peers that do not answer;
    `errors` what upstream answers for a path instead of 200.
    """

    def __init__(self, *, fleet: FleetConfig | None = None, **settings: object) -> None:
        self.peers: dict[str, set[str]] = {}
        self.down: set[str] = set()
        self.errors: dict[str, int] = {}
        self.etags: dict[str, str] = {}
        self.asked: list[tuple[str, str]] = []
        """Peer (empty: upstream) and path of every planned fill."""
        self.arrived: list[tuple[float, int]] = []
        """Wall time and bytes, of what came for a plan."""
        self.silent: set[str] = set()
        """Peers that take a request and say nothing."""
        self.broken: set[str] = set()
        """Paths that upstream breaks off at the beginning."""
        self.disk_fails = False
        self.objects: dict[str, bytes] = {}
        """What the store gives back, by object id."""
        self.is_slow = False
        """Planned bytes come only when `deliver` is called."""
        self.kept: dict[str, int] = {}
        """What is written down as spent, by plan."""
        self.folder_fails = False
        self.stored: dict[str, StoredObject] = {}
        self._reading: dict[int, tuple[StartFill, int, int]] = {}
        self._leave: dict[int, int | None] = {}
        settings.setdefault("prefetch", PrefetchConfig(enabled=False))
        super().__init__(fleet=fleet or FleetConfig(), **settings)  # type: ignore[arg-type]

    @property
    def wall_s(self) -> float:
        return EPOCH_S + self.now_s

    def plan(self, *files: PlannedFile, **changes: object) -> EdgePlan:
        """One that begins now, has an hour's window and is valid for a day."""
        wall_s = self.wall_s
        plan = EdgePlan(
            plan_id="ab" * 8,
            edge="e1",
            made_wall_s=wall_s,
            valid_from_wall_s=wall_s,
            valid_until_wall_s=wall_s + DAY_S,
            pinned_bytes_max=10_000_000,
            fill_bytes_max=10_000_000,
            fill_kbps_max=80_000.0,
            windows=(FillWindow(from_wall_s=wall_s, until_wall_s=wall_s + 3_600.0),),
            files=files,
        )
        return msgspec.structs.replace(plan, **changes)

    def follow(self, plan: EdgePlan | None, *, spent_bytes: int = 0, for_s: float = 10.0) -> None:
        self.run(PlanFollowed(plan=plan, spent_bytes=spent_bytes))
        self.move_to(self.now_s + for_s)

    @property
    def figures(self) -> PlacementFigures:
        return self.core.status(self.now_s).placement

    def paths(self) -> list[str]:
        return [path for _, path in self.asked]

    def run_all(self, plan: EdgePlan, for_s: float) -> list[Effect]:
        """Follow a plan for a while; all effects of it."""
        seen = self.run(PlanFollowed(plan=plan))
        return seen + self.move_to(self.now_s + for_s)

    def texts_of(self, url: str) -> bytes:
        return self.texts.get(url.removeprefix(UPSTREAM), b"")

    # -- the driver

    def _perform(self, effect: Effect) -> list[Event]:
        match effect:
            case StartFill(leave_bytes=None):
                pass
            case StartFill():
                return self._start(effect)
            case AllowFill():
                self._leave[effect.fill_id] = effect.leave_bytes
                return self._step(effect.fill_id)
            case SetFillPriority():
                self._leave[effect.fill_id] = None
                return self._step(effect.fill_id)
            case ResumeFill():
                self.paused.discard(effect.fill_id)
                return self._step(effect.fill_id)
            case CancelFill():
                self._reading.pop(effect.fill_id, None)
            case ReadObject():
                text = self.objects.get(effect.object_id)
                return [ObjectRead(object_id=effect.object_id, text=text)]
            case KeepSpent(plan_id=plan_id, spent_bytes=spent_bytes):
                if not self.folder_fails:
                    self.kept[plan_id] = spent_bytes
                return [
                    SpentKept(
                        plan_id=plan_id, spent_bytes=spent_bytes, is_kept=not self.folder_fails
                    )
                ]
            case Commit() | UpdateStored():
                self.stored[effect.stored.object_id] = effect.stored
            case DropObject():
                self.stored.pop(effect.object_id, None)
        return super()._perform(effect)

    def _start(self, effect: StartFill) -> list[Event]:
        path = effect.url.removeprefix(UPSTREAM)
        self.asked.append((effect.peer, path))
        fill_id = effect.fill_id
        if effect.peer in self.silent:
            return []
        if not effect.peer and path in self.broken:
            return [FillFailed(fill_id=fill_id, cause="broken", detail="cut off")]
        if effect.peer in self.down:
            return [FillFailed(fill_id=fill_id, cause="refused", detail="no connection")]
        if effect.peer and path not in self.peers.get(effect.peer, set()):
            return [FillHeaders(fill_id=fill_id, status=504, headers=(("content-length", "0"),))]
        if not effect.peer and path in self.errors:
            return [FillHeaders(fill_id=fill_id, status=self.errors[path], headers=LONG)]
        etag = get_one(effect.headers, "if-none-match")
        if etag is not None:
            return [
                FillHeaders(fill_id=fill_id, status=304, headers=(("etag", etag),)),
                FillEnded(fill_id=fill_id, size_bytes=0, crc32c=0),
            ]
        text = self.texts.get(path)
        size_bytes = len(text) if text is not None else SEGMENT_BYTES[path.split("/")[3]]
        self._reading[fill_id] = (effect, size_bytes, 0)
        self._leave[fill_id] = effect.leave_bytes
        etag = self.etags.get(path, f'"{0:08x}-{size_bytes:x}"')
        headers = (
            ("cache-control", "max-age=86400"),
            ("etag", etag),
            ("content-length", str(size_bytes)),
        )
        return [
            FillHeaders(fill_id=fill_id, status=200, headers=headers),
            *(
                [FillFailed(fill_id=fill_id, cause="disk", detail="full")]
                if self.disk_fails
                else []
                if self.is_slow
                else self._step(fill_id)
            ),
        ]

    def deliver(self, bytes_max: int) -> int:
        """Let so much of each planned fill arrive, as far as it may. How much came."""
        before = len(self.arrived)
        for fill_id in tuple(self._reading):
            for event in self._step(fill_id, bytes_max):
                self.run(event)
        return sum(size_bytes for _, size_bytes in self.arrived[before:])

    def _step(self, fill_id: int, bytes_max: int = 1 << 40) -> list[Event]:
        if fill_id not in self._reading or (self.is_slow and bytes_max == 1 << 40):
            return []
        if fill_id in self.paused:
            return []
        effect, size_bytes, received_bytes = self._reading[fill_id]
        leave_bytes = self._leave[fill_id]
        until_bytes = min(size_bytes, received_bytes + bytes_max)
        if leave_bytes is not None:
            until_bytes = min(until_bytes, leave_bytes)
        if until_bytes > received_bytes:
            if leave_bytes is not None:
                self.arrived.append((self.wall_s, until_bytes - received_bytes))
            self._reading[fill_id] = (effect, size_bytes, until_bytes)
        if until_bytes < size_bytes:
            return [FillProgress(fill_id=fill_id, received_bytes=until_bytes)]
        del self._reading[fill_id]
        text = self.texts.get(effect.url.removeprefix(UPSTREAM))
        return [FillEnded(fill_id=fill_id, size_bytes=size_bytes, crc32c=0, text=text)]
