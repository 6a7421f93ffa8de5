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
    pulled              what a viewer fetches of a planned file is pinned as it comes; of a file, or
                        its rest, for which there is only a place, nothing is fetched otherwise
    a copy of a peer    is confirmed by the origin afterwards, in a conditional request

A file that cannot be had is given up for a while, and the next one is looked at. With a store that
takes nothing new it all rests. Looking is cut into slices, so that clients never wait for it.
"""

from __future__ import annotations

from typing import Final

from edge.config import EdgeConfig
from edge.effects import Effect
from edge.fill import FillOutcome
from edge.fills import Fills
from edge.fleet.alarm import NEVER_S, Alarm
from edge.fleet.backlog import Backlog
from edge.fleet.completion import Completion
from edge.fleet.fetching import RETRY_S, Fetching
from edge.fleet.leave import Leave
from edge.fleet.object_files import ObjectFiles
from edge.fleet.orders import (
    FillsHeld,
    PlacementEvent,
    PlanFollowed,
    SpentKept,
    TimeTold,
)
from edge.fleet.pieces import manifest_url
from edge.fleet.pins import Pins
from edge.fleet.plan_report import PlanReport
from edge.fleet.readings import Readings
from edge.fleet.run_results import RunResults
from edge.fleet.runs import Runs
from edge.fleet.sources import Sources
from edge.fleet.survey import Survey
from edge.ledger import Ledger
from edge.media_map import MediaMap
from edge.open_fills import OpenFills
from edge.residents import Residents
from edge.services import Services
from edge.status import Counters, PlacementFigures
from edge.telemetry.desk import TelemetryDesk
from edge.texts import Texts
from nearcast.machine import EffectQueue
from nearcast.placement import EdgePlan

SLICE: Final = 300
"""Objects looked at in one go: a few milliseconds."""
FILES_SLICE: Final = 200
SLICE_S: Final = 0.005
READING_S: Final = 1.0


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
        self._service = config.fleet.service
        self._epoch_s = epoch_s
        self._ahead_s = 0.0
        self._services = services
        self._lost = residents.unpinned
        self._counters = counters
        self._effects = effects
        self._alarm = Alarm()
        self._leave = Leave()
        self._runs = Runs(
            config.fleet, leave=self._leave, ledger=ledger, open_fills=open_fills, fills=fills
        )
        self._pins = Pins(residents, share_max=config.fleet.pinned_share_max)
        self._sources = Sources(is_peer_fill=config.fleet.peer_fill)
        self._readings = Readings(
            services=services, media_map=media_map, texts=texts, open_fills=open_fills
        )
        self._fetching = Fetching(
            leave=self._leave,
            runs=self._runs,
            pins=self._pins,
            sources=self._sources,
            upstreams=open_fills.upstreams,
            alarm=self._alarm,
        )
        self._report = PlanReport(telemetry)
        self._completion = Completion(
            readings=self._readings,
            pins=self._pins,
            runs=self._runs,
            fetching=self._fetching,
        )
        self._run_results = RunResults(sources=self._sources, fetching=self._fetching)
        self._object_files = ObjectFiles(media_map)
        self._plan: EdgePlan | None = None
        self._backlog = Backlog()
        self._is_read = True
        self._survey: Survey | None = None
        self._is_stirred = False
        self._state = "no plan"

    # -- what happens

    def handle(self, event: PlacementEvent, now_s: float) -> None:
        match event:
            case PlanFollowed(plan=plan, spent_bytes=spent_bytes):
                self._follow(plan, spent_bytes, now_s)
            case TimeTold(ahead_s=ahead_s):
                self._ahead_s = ahead_s
            case FillsHeld(is_held=is_held):
                self._fetching.is_held = is_held
            case SpentKept():
                self._leave.account.kept(event, now_s)
        self._is_stirred = True

    def _follow(self, plan: EdgePlan | None, spent_bytes: int, now_s: float) -> None:
        self._runs.cancel_all("another plan", now_s)
        self._plan = plan
        self._leave.follow(plan, spent_bytes)
        self._sources.follow(plan)
        self._pins.follow(plan)
        self._report.follow(plan)
        self._fetching.follow()
        self._readings.clear()
        self._backlog = Backlog()
        self._object_files.clear()
        self._survey = Survey(self._readings, self._pins)
        self._is_read = plan is None or not plan.files

    def _read_plan(self, plan: EdgePlan, now_s: float) -> None:
        """A slice of its files: there may be a hundred thousand."""
        backlog = self._backlog
        place = len(backlog.files)
        for planned in plan.files[place : place + FILES_SLICE]:
            url = manifest_url(self._services, self._service, planned.manifest)
            file = backlog.add(planned, url)
            if url is None:
                file.give_up("no service has its manifest", now_s, for_good=True)
            else:
                self._object_files.add(url, file)
                assert self._survey is not None
                self._survey.add(url, file)
        self._is_read = len(backlog.files) == len(plan.files)

    def read(self, url: str) -> None:
        """A manifest was read, or turned out unreadable."""
        if self._readings.arrived(url):
            self._is_stirred = True

    def fill_ended(self, outcome: FillOutcome, now_s: float) -> None:
        """Any fill is over."""
        run = self._runs.ended(outcome, self._wall_s(now_s))
        if run is not None:
            self._report.fetched(run.file, outcome.planned_bytes)
        if self._plan is None:
            return
        if outcome.result in ("failed", "cancelled"):
            self.read(outcome.url)  # it will not be, if it is a manifest
        if run is None:
            # One of a viewer's: it may be what a file waits for.
            self._is_stirred = self._is_stirred or self._backlog.is_worked_on
            if outcome.result == "stored" and not outcome.was_planned:
                self._pulled(outcome.url)
            return
        self._is_stirred = True
        if self._fetching.is_stopped:
            self._keep_spent()
        if not run.is_confirming:
            self._run_results.ended(run, outcome, now_s)

    def _pulled(self, url: str) -> None:
        """A viewer has fetched this: where the plan wants it, it is here to stay."""
        if self._object_files.of(url):
            entry = self._pins.held(url)
            if entry is not None:
                self._pins.pin(entry)

    def stop(self, now_s: float) -> None:
        """The node is about to end."""
        self._fetching.is_stopped = True
        self._runs.cancel_all("draining", now_s)
        self._keep_spent()

    # -- what is done

    def balance(self, now_s: float) -> None:
        """Bring what is under way in line with the rules above."""
        if self._lost:
            self._see_lost(now_s)
        if self._fetching.waits_for_clients and not self._runs.must_wait:
            self._is_stirred = True
        is_due = self._is_stirred or now_s >= self._alarm.due_s
        if not (is_due or len(self._runs)):
            return
        if is_due:
            self._alarm.clear()
        wall_s = self._wall_s(now_s)
        if len(self._runs):
            stop = "maintenance" if self._fetching.is_held else ""
            if not self._leave.is_open(wall_s):
                stop = "the window is over"
            if self._runs.steer(stop, now_s, wall_s):
                self._alarm.at_wall(self._leave.next_s(wall_s), now_s, wall_s)
        if is_due:
            self._is_stirred = self._fetching.waits_for_clients = False
            self._state = self._work(now_s, wall_s)
            self._report.tell(self._backlog.take_news(), now_s)
        self._keep_ahead(now_s)

    def deadline_s(self, now_s: float) -> float | None:
        if self._fetching.is_stopped:
            return None
        due_s = now_s if self._is_stirred else self._alarm.due_s
        if len(self._runs):
            window = self._leave.clock.window(self._wall_s(now_s))
            if window is not None:
                due_s = min(due_s, window.until_wall_s - self._wall_s(0.0))
        return max(due_s, now_s) if due_s < NEVER_S else None

    def figures(self) -> PlacementFigures:
        plan, clock, counts = self._plan, self._leave.clock, self._backlog.counts
        return PlacementFigures(
            plan_id=plan.plan_id if plan is not None else "",
            state=self._state,
            file_count=len(plan.files) if plan is not None else 0,
            files_held=counts["held"],
            files_given_up=counts["given up"],
            spent_bytes=clock.spent_bytes if plan is not None else 0,
            left_bytes=clock.left_bytes,
            valid_until_wall_s=plan.valid_until_wall_s if plan is not None else 0.0,
            peer_refusals=self._counters.peer_refusals,
        )

    # -- a slice of the work

    def _work(self, now_s: float, wall_s: float) -> str:
        """One slice. What it waits for, in words."""
        if not self._is_read and self._plan is not None:
            self._read_plan(self._plan, now_s)
            self._alarm.at(now_s + SLICE_S)
            return "reading the plan"
        if self._survey is not None:
            self._survey.look(now_s)
            # While manifests are read there is nothing to be done; being read is an event.
            self._alarm.at(now_s + (READING_S if len(self._readings) else SLICE_S))
            if not self._survey.is_over:
                return "looking at what is held"
            self._survey = None
            self._backlog.begin()
        if self._pins.settle():
            self._alarm.at(now_s + SLICE_S)
            return "pinning what is held"
        if self._plan is None:
            return "no plan"
        return self._complete_files(now_s, wall_s)

    def _complete_files(self, now_s: float, wall_s: float) -> str:
        for url in self._readings.forget_unread(now_s):
            for unread in self._backlog.worked_on():
                if unread.manifest_url == url:
                    unread.give_up("its manifest was not read", now_s)
        self._backlog.renew(now_s)
        looked_at, waits_for = 0, ""
        while not waits_for and (file := self._backlog.take()) is not None:
            count, waits_for = self._completion.complete(file, now_s, wall_s)
            is_coming = file.state == "todo" and self._completion.is_coming(file)
            self._backlog.put(file, is_coming=is_coming)
            looked_at += count + 1
            if looked_at >= SLICE:
                self._alarm.at(now_s + SLICE_S)
                break
        self._fetching.confirm(now_s, wall_s)
        self._alarm.at(self._backlog.due_s)
        if len(self._readings):
            self._alarm.at(now_s + RETRY_S)
        if len(self._runs):
            return "fetching"
        if self._backlog.is_worked_on:
            return "a manifest"
        return waits_for or "all is held that can be"

    # -- parts

    def _see_lost(self, now_s: float) -> None:
        """Pinned objects that have left; those that were replaced are pinned again."""
        while self._lost:
            url = self._lost.popleft()
            if self._pins.held(url) is not None:
                continue
            for file in self._object_files.of(url):
                if file.state == "held":
                    file.wait("a part of it was lost", now_s + RETRY_S)
                    self._backlog.put(file)
                    self._alarm.at(file.due_s)

    def _keep_ahead(self, now_s: float) -> None:
        account = self._leave.account
        wanted = account.take_wanted(now_s) if not self._fetching.is_stopped else None
        if wanted is not None:
            self._effects.emit(wanted)
        elif account.due_s is not None:
            self._alarm.at(account.due_s)

    def _keep_spent(self) -> None:
        """The last: nothing more is begun."""
        clock = self._leave.clock
        last = self._leave.account.last(clock.taken_bytes) if clock.plan_id else None
        if last is not None:
            self._effects.emit(last)

    def _wall_s(self, now_s: float) -> float:
        return self._epoch_s + now_s + self._ahead_s
