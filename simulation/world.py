"""A whole network in virtual time: origin, edges, viewers and the links between them.

    viewer --(last mile)--> edge --(backhaul)--> origin

All three run their real cores. Everything random is drawn from named streams of the scenario's
seed before the first event; after that a run is decided by the order of events alone, so the same
scenario gives the same digest over its records wherever it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from abr.config import PlayerConfig
from abr.report import SessionReport
from abr.viewer import PlayItem, ViewerCore, ViewingPlan
from edge.config import EdgeConfig
from edge.status import EdgeStatus
from nearcast import config
from nearcast.record import DigestRecorder, FanOut, Recorder
from nearcast.seeds import Seeds
from nearcast.zones import viewers_time
from origin.catalog import DASH_NAME, MASTER_NAME, Title, media_path
from origin.core import OriginCore
from origin.library import MemoryLibrary
from simulation.edge_node import EdgeNode
from simulation.faults import draw_faults
from simulation.injector import Injector
from simulation.origin_node import OriginNode
from simulation.prediction import load_predictor, load_titles
from simulation.report import Figures, figures
from simulation.scenario import EVERY_EDGE, EdgeSpec, Scenario, Setting, ViewerSpec
from simulation.scheduler import Scheduler
from simulation.transport import Client
from simulation.viewer_node import ViewerNode
from simulation.wire import Path as LinkPath
from simulation.workload import titles_of, viewers_of

ORIGIN_URL = "http://origin.invalid"
# Events between two reports of progress.
EVENTS_PER_TURN = 5_000


class EdgeOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one edge."""

    figures: Figures
    status: EdgeStatus
    sessions: tuple[SessionReport, ...]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run. `digest` is the SHA-256 over all records: equal for equal runs."""

    seed: int
    digest: str
    record_count: int
    event_count: int
    simulated_s: float
    edges: Mapping[str, EdgeOutcome]


class World:
    """Built from a scenario; `run` lets the evening pass.

    `titles` replaces the scenario's own, for a twin of what a real origin holds. Trace files are
    looked for in `folder`. Raises InputError and ConfigError for what cannot be built.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        titles: Sequence[Title] | None = None,
        folder: Path | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.scenario = scenario
        self.scheduler = Scheduler()
        seeds = Seeds(scenario.seed)
        self.digest = DigestRecorder()
        self.edges: dict[str, EdgeNode] = {}
        self.paths: list[LinkPath] = []
        self._recorder = self.digest if recorder is None else FanOut(self.digest, recorder)
        self._folder = folder
        self._titles = titles_of(scenario) if titles is None else tuple(titles)
        library = MemoryLibrary(self._titles)
        self._successors = library.catalog.successors()
        self.origin = OriginNode(
            OriginCore(library),
            self.scheduler,
            self._recorder,
            answer_s=scenario.costs.origin_s,
            max_age_s=scenario.origin_max_age_s,
            faults_generator=seeds.stream("faults/origin"),
        )
        for edge in scenario.edges:
            self.edges[edge.name] = self._edge(edge)
        self.faults = scenario.faults
        if scenario.random_faults is not None:
            drawn = draw_faults(
                scenario.random_faults, tuple(self.edges), seeds.stream("faults/schedule")
            )
            self.faults = (*self.faults, *drawn)
        self.injector = Injector(
            self.faults,
            origin=self.origin,
            edges=self.edges,
            scheduler=self.scheduler,
            generator=seeds.stream("faults/disk"),
        )
        self._player = _player_config(scenario.player)
        self.viewers: dict[str, list[ViewerNode]] = {name: [] for name in self.edges}
        self._watching_count = 0
        for viewer in viewers_of(scenario, self._titles):
            names = list(self.edges) if viewer.edge == EVERY_EDGE else [viewer.edge]
            for name in names:
                self.viewers[name].append(self._viewer(viewer, self.edges[name]))

    def run(
        self,
        *,
        on_progress: Callable[[float], None] | None = None,
        on_event: Callable[[World], None] | None = None,
    ) -> Outcome:
        """Until every viewer has watched their plan; those who have not when time is up leave.

        `on_progress` hears the share of titles watched; `on_event` is called after every event.
        """
        for edge in self.edges.values():
            edge.start()
        self._run_until(self.scenario.duration_s_max, on_progress, on_event)
        for viewers in self.viewers.values():
            for viewer in viewers:
                if not viewer.is_done:
                    viewer.leave()
        for edge in self.edges.values():
            edge.serving.flush_hits()
        return self._outcome()

    def _run_until(
        self,
        until_s: float,
        on_progress: Callable[[float], None] | None,
        on_event: Callable[[World], None] | None,
    ) -> None:
        scheduler = self.scheduler
        while self._watching_count:
            for _ in range(EVENTS_PER_TURN):
                if not self._watching_count or scheduler.next_s() > until_s:
                    return
                scheduler.step()
                if on_event is not None:
                    on_event(self)
            if on_progress is not None:
                on_progress(self._progress())

    def _viewer_done(self) -> None:
        self._watching_count -= 1

    def _progress(self) -> float:
        everybody = [viewer for viewers in self.viewers.values() for viewer in viewers]
        total = sum(viewer.title_count for viewer in everybody)
        return sum(viewer.ended_count for viewer in everybody) / total

    def _outcome(self) -> Outcome:
        now_s = self.scheduler.now_s()
        outcomes = {}
        for name, edge in self.edges.items():
            status = edge.core.status(now_s)
            sessions = tuple(
                session
                for viewer in self.viewers[name]
                for session in viewer.core.report().sessions
            )
            has_asked = status.predictions_asked > 0 and status.model_id is not None
            predict_s = self.scenario.costs.predict_s if has_asked else None
            outcomes[name] = EdgeOutcome(
                figures=figures(sessions, status, predict_s, predict_s),
                status=status,
                sessions=sessions,
            )
        return Outcome(
            seed=self.scenario.seed,
            digest=self.digest.hexdigest(),
            record_count=self.digest.record_count,
            event_count=self.scheduler.call_count,
            simulated_s=now_s,
            edges=outcomes,
        )

    def _edge(self, spec: EdgeSpec) -> EdgeNode:
        settings = edge_config(spec)
        up, down = spec.backhaul.build(folder=self._folder)
        path = LinkPath(up, down, self.scheduler)
        self.paths.append(path)
        predictor, why_none = None, "prefetch is off"
        if settings.prefetch.enabled:
            predictor, why_none = load_predictor(settings.prefetch.model)
        node = EdgeNode(
            spec.name,
            settings,
            path,
            self.origin,
            self.scheduler,
            self._recorder,
            self.scenario.costs,
            predictor,
            why_none,
            local_time=viewers_time(settings.sessions.time_zone, settings.sessions.utc_offset_h),
        )
        if settings.titles.model and (titles := load_titles(settings.titles.model)) is not None:
            node.titles.use(titles, titles.numbers.titles, model_id=titles.manifest.model_id)
        return node

    def _viewer(self, spec: ViewerSpec, edge: EdgeNode) -> ViewerNode:
        up, down = spec.last_mile.build(folder=self._folder)
        path = LinkPath(up, down, self.scheduler)
        self.paths.append(path)
        name = f"{edge.name}-{spec.id}"
        viewer = ViewerNode(
            name,
            ViewerCore.from_config(
                self._player,
                viewing_plan(spec, name, edge.name, self._successors),
                recorder=self._recorder,
            ),
            Client(
                path,
                edge,
                self.scheduler,
                connection_limit=self.scenario.player_connection_limit,
                name=name,
            ),
            self.scheduler,
            self._recorder,
            title_count=len(spec.titles),
            cmcd=self._player.cmcd,
            request_s=self.scenario.costs.player_s,
            on_done=self._viewer_done,
        )
        self._watching_count += 1
        self.scheduler.at(spec.start_s, viewer.start)
        return viewer


def viewing_plan(
    spec: ViewerSpec, viewer_id: str, edge_host: str, successors: Mapping[str, str]
) -> ViewingPlan:
    """What this viewer's core is told to watch at this edge. `successors`: as a catalogue has
    them; only those count as next episodes."""
    last = len(spec.titles) - 1
    name = DASH_NAME if spec.protocol == "dash" else MASTER_NAME
    return ViewingPlan(
        viewer_id=viewer_id,
        items=tuple(
            PlayItem(
                url=f"http://{edge_host}{media_path(title_id, name)}",
                watch_s=spec.leaves_after_s if index == last else None,
                gap_s=spec.gap_s if index > 0 else 0.0,
                is_next_episode=index > 0 and successors.get(spec.titles[index - 1]) == title_id,
            )
            for index, title_id in enumerate(spec.titles)
        ),
    )


def edge_config(spec: EdgeSpec) -> EdgeConfig:
    """The settings of a simulated edge. Raises ConfigError that names the edge and the key."""
    loaded = config.load(
        EdgeConfig,
        role="edge",
        assignments=[
            f"upstream={ORIGIN_URL}",
            f"name={spec.name}",
            *_assignments(spec.settings),
        ],
    )
    return loaded.value


def _player_config(settings: Mapping[str, Setting]) -> PlayerConfig:
    return config.load(PlayerConfig, role="player", assignments=_assignments(settings)).value


def _assignments(settings: Mapping[str, Setting]) -> list[str]:
    return [
        f"{key}={str(value).lower() if isinstance(value, bool) else value}"
        for key, value in settings.items()
    ]
