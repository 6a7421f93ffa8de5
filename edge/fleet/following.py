"""Carries out a placement plan: finds what is held of it, fetches the rest, pins all of it.

    a plan is taken     1. every file is looked at, title by title, and what is held of it claimed
                        2. what is pinned and no part of it is unpinned: it is an object like any
                           other then, and stays as long as the edge's own policy keeps it
                        3. files are completed in the plan's order: what is missing is fetched, from
                           a peer before the origin (edge.fleet.sources)
    demand first        while a client waits for upstream, planned fills are paused and none begins
    the plan's bounds   nothing is read without leave (edge.fleet.leave); what is under way when a
                        window closes is given up
    its share           no more is pinned than the plan says, nor than the settings allow
    pulled              what a viewer fetches of a planned file is pinned as it comes
    a copy of a peer    is confirmed by the origin afterwards, in a conditional request

A file that cannot be had is given up for a while, and the next one is looked at. With a store that
takes nothing new it all rests. Looking is cut into slices, so that clients never wait for it.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import Final

from edge.config import EdgeConfig
from edge.effects import Effect
from edge.fill import FillOutcome
from edge.fills import Fills
from edge.fleet.files import NEVER_S, TRIES_MAX, File
from edge.fleet.leave import Leave
from edge.fleet.orders import FillsHeld, KeepSpent, PlacementEvent, PlanFollowed, TimeTold
from edge.fleet.pieces import TEXT_BYTES, NotPossible, Piece, manifest_url
from edge.fleet.pins import Pins
from edge.fleet.readings import Readings
from edge.fleet.runs import MORE_THAN_LEFT, Run, Runs
from edge.fleet.sources import Sources
from edge.fleet.survey import Survey
from edge.ledger import Ledger
from edge.media_map import MediaMap
from edge.open_fills import OpenFills
from edge.peers import ABSENT
from edge.residents import Residents
from edge.services import Services
from edge.status import Counters, PlacementFigures
from edge.telemetry.desk import TelemetryDesk
from edge.texts import Texts
from nearcast.machine import EffectQueue
from nearcast.placement import EdgePlan

SLICE: Final = 300
"""Objects looked at in one go: a few milliseconds."""
SLICE_S: Final = 0.005
WORKED_ON_MAX: Final = 8
"""Files that wait for a manifest or for fills under way."""
SPENT_S: Final = 2.0
"""How often what was spent is written down."""
RETRY_S: Final = 30.0
"""After the store took nothing, a pinned object was lost, or a peer did not have a file."""
ORIGIN_S: Final = 5.0
"""After the origin was found failing."""
PATIENCE_SHARE: Final = 0.5
"""Of a window: so long a peer is waited for that will have a file."""
CONFIRM_MAX: Final = 1_000


class Following:
    """Follows one plan at a time."""

    def __init__(
        self,
        config: EdgeConfig,
        *,
        epoch_s: float,
        services: Services,
        media_map: MediaMap,
        texts: Texts,
        residents: Residents,
        ledger: Ledger,
        open_fills: OpenFills,
        fills: Fills,
        counters: Counters,
        telemetry: TelemetryDesk,
        effects: EffectQueue[Effect],
    ) -> None:
        self._config = config.fleet
        self._epoch_s = epoch_s
        self._ahead_s = 0.0
        self._services = services
        self._map = media_map
        self._lost = residents.unpinned
        self._upstreams = open_fills.upstreams
        self._counters = counters
        self._telemetry = telemetry
        self._effects = effects
        self._leave = Leave()
        self._runs = Runs(
            config.fleet, leave=self._leave, ledger=ledger, open_fills=open_fills, fills=fills
        )
        self._pins = Pins(residents, share_max=config.fleet.pinned_share_max)
        self._sources = Sources(is_peer_fill=config.fleet.peer_fill)
        self._readings = Readings(
            services=services, media_map=media_map, texts=texts, open_fills=open_fills
        )
        self._plan: EdgePlan | None = None
        self._files: list[File] = []
        self._of_rendition: dict[tuple[str, str], list[File]] = {}
        self._survey: Survey | None = None
        self._todo: list[int] = []  # a heap of the numbers of files to be completed
        self._worked_on: dict[int, None] = {}  # those that wait for something under way
        self._later: list[tuple[float, int]] = []  # a heap of those to be looked at again
        self._confirm: deque[tuple[File, Piece]] = deque(maxlen=CONFIRM_MAX)
        self._is_held = False
        self._is_stopped = False
        self._is_stirred = False
        self._waits_for_clients = False
        self._next_s = NEVER_S  # when to look again, if nothing happens before
        self._rest_until_s = 0.0
        self._state = "no plan"
        self._spent_s = 0.0
        self._spent_bytes = 0  # written down

    # -- what happens

    def handle(self, event: PlacementEvent, now_s: float) -> None:
        match event:
            case PlanFollowed(plan=plan, spent_bytes=spent_bytes):
                self._follow(plan, spent_bytes, now_s)
            case TimeTold(ahead_s=ahead_s):
                self._ahead_s = ahead_s
            case FillsHeld(is_held=is_held):
                self._is_held = is_held
        self._is_stirred = True

    def _follow(self, plan: EdgePlan | None, spent_bytes: int, now_s: float) -> None:
        self._runs.cancel_all("another plan", now_s)
        self._plan = plan
        self._leave.follow(plan, spent_bytes)
        self._spent_bytes = self._leave.clock.spent_bytes
        self._sources.follow(plan)
        self._pins.follow(plan)
        self._readings.clear()
        self._confirm.clear()
        self._worked_on.clear()
        self._todo, self._later, self._files, self._of_rendition = [], [], [], {}
        for planned in plan.files if plan is not None else ():
            file = File(
                planned, manifest_url(self._services, self._config.service, planned.manifest)
            )
            self._files.append(file)
            if file.manifest_url is None:
                file.give_up("no service has its manifest", now_s, for_good=True)
            else:
                key = (file.manifest_url, planned.rendition)
                self._of_rendition.setdefault(key, []).append(file)
        self._survey = Survey(self._files, self._readings, self._pins)

    def read(self, url: str) -> None:
        """A manifest was read, or turned out unreadable."""
        if self._readings.arrived(url):
            self._is_stirred = True

    def fill_ended(self, outcome: FillOutcome, now_s: float) -> None:
        """Any fill is over."""
        run = self._runs.ended(outcome, self._wall_s(now_s))
        if self._plan is None:
            return
        if run is None:
            # One of a viewer's: it may be what a file waits for.
            self._is_stirred = self._is_stirred or bool(self._worked_on)
            if outcome.result == "stored" and not outcome.was_planned:
                self._pulled(outcome.url)
            return
        self._is_stirred = True
        self._keep_spent(now_s)
        if run.is_confirming:
            return
        if outcome.result == "stored":
            self._sources.gave(run.edge)
            by_source = run.file.by_source
            by_source[run.edge] = by_source.get(run.edge, 0) + outcome.received_bytes
            if run.edge:
                self._confirm.append((run.file, run.piece))
        elif outcome.result != "not_modified":
            self._failed(run, outcome, now_s)

    def _failed(self, run: Run, outcome: FillOutcome, now_s: float) -> None:
        file = run.file
        file.again()
        if run.edge:
            if outcome.result == "failed":
                is_absent = outcome.detail == ABSENT
                self._sources.failed(run.edge, run.piece.url, now_s, is_absent=is_absent)
        elif outcome.detail == "disk":
            self._rest_until_s = now_s + RETRY_S
        elif outcome.detail == MORE_THAN_LEFT:
            file.give_up("beyond the plan's bytes", now_s, for_good=True)
        elif outcome.was_joined:
            pass  # a client's fill by then
        elif outcome.result == "not_stored" or outcome.was_barred:
            self._give_up(file, f"not kept: {outcome.detail}", now_s, for_good=True)
        elif outcome.result == "failed":
            file.tries += 1
            if file.tries >= TRIES_MAX:
                self._give_up(file, outcome.detail, now_s)

    def _pulled(self, url: str) -> None:
        """A viewer has fetched this: where the plan wants it, it is here to stay."""
        if self._is_planned(url):
            entry = self._pins.held(url)
            if entry is not None:
                self._pins.pin(entry)

    def stop(self, now_s: float) -> None:
        """The node is about to end."""
        self._is_stopped = True
        self._runs.cancel_all("draining", now_s)
        self._keep_spent(now_s, is_last=True)

    # -- what is done

    def balance(self, now_s: float) -> None:
        """Bring what is under way in line with the rules above."""
        if self._lost:
            self._see_lost(now_s)
        if self._waits_for_clients and not self._runs.must_wait:
            self._is_stirred = True
        is_due = self._is_stirred or now_s >= self._next_s
        if not (is_due or len(self._runs)):
            return
        if is_due:
            self._next_s = NEVER_S
        wall_s = self._wall_s(now_s)
        if len(self._runs):
            stop = "maintenance" if self._is_held else ""
            if not self._leave.is_open(wall_s):
                stop = "the window is over"
            if self._runs.steer(stop, now_s, wall_s):
                self._wake_at_wall(self._leave.next_s(wall_s), now_s, wall_s)
        if is_due:
            self._is_stirred = self._waits_for_clients = False
            self._state = self._work(now_s, wall_s)

    def deadline_s(self, now_s: float) -> float | None:
        if self._is_stopped:
            return None
        if self._is_stirred:
            return now_s
        due_s = self._next_s
        if len(self._runs):
            window = self._leave.clock.window(self._wall_s(now_s))
            if window is not None:
                due_s = min(due_s, window.until_wall_s - self._wall_s(0.0))
        return max(due_s, now_s) if due_s < NEVER_S else None

    def figures(self) -> PlacementFigures:
        plan, clock = self._plan, self._leave.clock
        return PlacementFigures(
            plan_id=plan.plan_id if plan is not None else "",
            state=self._state,
            file_count=len(self._files),
            files_held=sum(file.state == "held" for file in self._files),
            files_given_up=sum(file.state == "given up" for file in self._files),
            spent_bytes=clock.spent_bytes if plan is not None else 0,
            left_bytes=clock.left_bytes,
            valid_until_wall_s=plan.valid_until_wall_s if plan is not None else 0.0,
            peer_refusals=self._counters.peer_refusals,
        )

    # -- a slice of the work

    def _work(self, now_s: float, wall_s: float) -> str:
        """One slice. What it waits for, in words."""
        if self._survey is not None:
            self._survey.look(now_s)
            # While manifests are read there is nothing to be done; being read is an event.
            self._wake_at(now_s + (1.0 if len(self._readings) else SLICE_S), now_s)
            if not self._survey.is_over:
                return "looking at what is held"
            self._survey = None
            self._todo = [n for n, file in enumerate(self._files) if file.state == "todo"]
        if self._pins.settle():
            self._wake_at(now_s + SLICE_S, now_s)
            return "pinning what is held"
        if self._plan is None:
            return "no plan"
        return self._complete_files(now_s, wall_s)

    def _complete_files(self, now_s: float, wall_s: float) -> str:
        for url in self._readings.forget_unread(now_s):
            for number in self._worked_on:
                if self._files[number].manifest_url == url:
                    self._give_up(self._files[number], "its manifest was not read", now_s)
        for number in self._worked_on:
            heapq.heappush(self._todo, number)
        self._worked_on.clear()
        while self._later and self._later[0][0] <= now_s:
            number = heapq.heappop(self._later)[1]
            self._files[number].again()
            heapq.heappush(self._todo, number)
        looked_at, waits_for = 0, ""
        while self._todo and len(self._worked_on) < WORKED_ON_MAX:
            if looked_at >= SLICE:
                self._wake_at(now_s + SLICE_S, now_s)
                return "pinning what is held"
            number = heapq.heappop(self._todo)
            file = self._files[number]
            count, why = 0, ""
            if file.state == "todo":
                count, why = self._complete(file, now_s, wall_s)
            looked_at += count + 1
            if file.state == "given up":
                if file.due_s < NEVER_S:
                    heapq.heappush(self._later, (file.due_s, number))
            elif file.state != "held":
                if self._is_coming(file):
                    self._worked_on[number] = None
                else:
                    heapq.heappush(self._todo, number)
                if why:
                    waits_for = why
                    break
        if self._confirm:
            self._confirm_next(now_s, wall_s)
        if self._later:
            self._wake_at(self._later[0][0], now_s)
        if len(self._readings):
            self._wake_at(now_s + RETRY_S, now_s)
        if len(self._runs):
            return "fetching"
        return waits_for or ("a manifest" if self._worked_on else "all is held that can be")

    def _is_coming(self, file: File) -> bool:
        """Whether something that is under way will move it on."""
        if file.pieces is None:
            return file.manifest_url is not None and (
                file.manifest_url in self._readings or self._runs.is_under_way(file.manifest_url)
            )
        return any(self._runs.is_under_way(piece.url) for piece in file.pieces)

    def _complete(self, file: File, now_s: float, wall_s: float) -> tuple[int, str]:
        """Pin what is here of a file, and begin to fetch what is not. How many objects were looked
        at, and why no more can begin now; empty: this file was gone through."""
        try:
            pieces = self._readings.pieces(file)
        except NotPossible as error:
            self._give_up(file, str(error), now_s, for_good=True)
            return 0, ""
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
            is_whole = False
            if self._runs.is_under_way(piece.url):
                continue
            why = self._fetch(file, piece, now_s, wall_s)
            if why or file.state == "given up":
                return index - start, why
        if is_whole and start > 0:  # what was here at first may have gone since
            file.start = 0
            return self._complete(file, now_s, wall_s)
        if is_whole:
            self._tell(file, now_s, is_complete=True)
            file.held()
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
                self._give_up(file, "its manifest cannot be read", now_s)
                return ""
        return self._fetch(file, Piece(url, TEXT_BYTES), now_s, wall_s)

    def _fetch(self, file: File, piece: Piece, now_s: float, wall_s: float) -> str:
        """Begin to fetch an object. Why not now; empty: it is under way, or the file has to wait
        by itself."""
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
            self._wake_at_wall(self._leave.next_window_s(wall_s), now_s, wall_s)
            return "the next window"
        source = self._sources.choose(
            file.planned, piece.url, now_s, is_patient=self._is_patient(wall_s)
        )
        if source is None:
            file.wait("a peer should have it soon", now_s + RETRY_S)
            return ""
        edge, peer = source
        if not edge and not self._upstreams.is_well(piece.url):
            self._wake_at(now_s + ORIGIN_S, now_s)
            return "the origin, which fails"
        return self._begin(file, piece, now_s, wall_s, edge=edge, peer=peer)

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
            self._wake_at_wall(self._leave.next_s(wall_s), now_s, wall_s)
        return why

    def _why_not_now(self, now_s: float, wall_s: float) -> str:
        if self._is_stopped:
            return "nothing: the node stops"
        if self._is_held:
            return "the end of maintenance"
        if not self._leave.is_open(wall_s):
            self._wake_at_wall(self._leave.next_window_s(wall_s), now_s, wall_s)
            return "the next window"
        if now_s < self._rest_until_s:
            self._wake_at(self._rest_until_s, now_s)
            return "a store that takes something"
        if self._runs.must_wait:
            self._waits_for_clients = True
            return "clients, who come first"
        return "what is under way" if self._runs.is_full else ""

    def _confirm_next(self, now_s: float, wall_s: float) -> None:
        """Ask the origin whether a copy of a peer is what it has now."""
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

    def _is_planned(self, url: str) -> list[File]:
        """The files that this is a part of."""
        return [
            file
            for place in self._map.places(url)
            for file in self._of_rendition.get((place.title_url, place.representation_id), ())
            if file.planned.until_s is None or place.segment.start_s < file.planned.until_s
        ]

    def _see_lost(self, now_s: float) -> None:
        """Pinned objects that have left; those that were replaced are pinned again."""
        while self._lost:
            url = self._lost.popleft()
            if self._pins.held(url) is not None:
                continue
            for file in self._is_planned(url):
                if file.state == "held":
                    file.wait("a part of it was lost", now_s + RETRY_S)
                    heapq.heappush(self._later, (file.due_s, self._files.index(file)))
                    self._wake_at(file.due_s, now_s)

    def _is_patient(self, wall_s: float) -> bool:
        """Whether there is time to wait for a peer that should hold it first."""
        window = self._leave.clock.window(wall_s)
        if window is None:
            return False
        length_s = window.until_wall_s - window.from_wall_s
        return wall_s < window.from_wall_s + PATIENCE_SHARE * length_s

    def _give_up(self, file: File, reason: str, now_s: float, *, for_good: bool = False) -> None:
        file.give_up(reason, now_s, for_good=for_good)
        self._tell(file, now_s, is_complete=False)

    def _tell(self, file: File, now_s: float, *, is_complete: bool) -> None:
        assert self._plan is not None
        self._telemetry.filled(
            self._plan.plan_id,
            file.planned.title,
            file.planned.rendition,
            file.planned.size_bytes if is_complete else 0,
            file.source,
            now_s,
            is_complete=is_complete,
        )

    def _keep_spent(self, now_s: float, *, is_last: bool = False) -> None:
        clock = self._leave.clock
        is_due = is_last or now_s - self._spent_s >= SPENT_S
        if clock.plan_id and clock.spent_bytes != self._spent_bytes and is_due:
            self._spent_s, self._spent_bytes = now_s, clock.spent_bytes
            self._effects.emit(KeepSpent(plan_id=clock.plan_id, spent_bytes=clock.spent_bytes))

    def _wall_s(self, now_s: float) -> float:
        return self._epoch_s + now_s + self._ahead_s

    def _wake_at(self, at_s: float, now_s: float) -> None:
        self._next_s = min(self._next_s, max(at_s, now_s))

    def _wake_at_wall(self, at_wall_s: float | None, now_s: float, wall_s: float) -> None:
        if at_wall_s is not None:
            # A hair later: rounding must not wake us a moment before it is so.
            self._wake_at(now_s + max(at_wall_s - wall_s, 0.0) + 1e-3, now_s)
