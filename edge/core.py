"""The core of an edge: it tells the parts what happens, and decides nothing itself.

    requests, fetches -> serving: from the store, from upstream (edge.serving)
    all requests -----> foresight: sessions -> judge -> planner --> fills (prefetches)
    plans ------------> following: what an origin wants placed here --> fills

Every part emits into one queue, so effects come out in the order they were decided. After each
event what the parts have to tell each other is passed on until nothing is left.
"""

from __future__ import annotations

from cache.http.headers import Headers
from edge.config import EdgeConfig
from edge.effects import Effect, ServeObject
from edge.events import (
    CatalogLearned,
    Draining,
    Event,
    FillEnded,
    FillProgress,
    ForgetViewer,
    HitsServed,
    ManifestRead,
    ModelChanged,
    Noticed,
    ObjectRead,
    Predicted,
    PredictionFailed,
    Reconfigured,
    Requested,
    Restored,
)
from edge.fleet.digest import HeldTitles
from edge.fleet.following import Following
from edge.fleet.orders import PlacementEvent, TimeTold
from edge.foresight import Foresight
from edge.hit_reports import HitReports
from edge.hops import Hops
from edge.hot import HotEntry
from edge.media_map import StreamFormat
from edge.models.events import ModelEvent
from edge.models.figures import ModelsFigures
from edge.prefetch.explanation import Explanation
from edge.services import Services
from edge.serving import Serving
from edge.snapshot import snapshot
from edge.status import Counters, EdgeStatus
from edge.titles.events import TitlesEvent
from edge.titles.home import Row
from nearcast.errors import LocalProtocolError
from nearcast.local_time import LocalTime, fixed
from nearcast.machine import EffectQueue, soonest
from nearcast.record import Recorder


class EdgeCore:
    """One cache node: a machine over edge.events."""

    def __init__(
        self,
        config: EdgeConfig,
        *,
        epoch_s: float,
        services: Services,
        effects: EffectQueue[Effect],
        counters: Counters,
        serving: Serving,
        hits: HitReports,
        foresight: Foresight,
        following: Following,
        held_titles: HeldTitles,
    ) -> None:
        self._config = config
        self._epoch_s = epoch_s
        self._now_s = 0.0
        self._started_s: float | None = None
        self._is_draining = False
        self._effects = effects
        self._counters = counters
        self.services = services
        """One object for all who ask whose a request or a URL is, drivers included."""
        self._serving = serving
        self._router = serving.router  # asked for every hit
        self._hits = hits
        self._foresight = foresight
        self._following = following
        self._held_titles = held_titles
        self.plain = serving.residents.plain
        """The entry of a URL, if a driver may serve it by itself."""
        self.telemetry = foresight.telemetry
        """What is told to the origin; on only in a fleet."""

    @classmethod
    def from_config(
        cls,
        config: EdgeConfig,
        *,
        epoch_s: float,
        recorder: Recorder,
        hops: Hops | None = None,
        local_time: LocalTime | None = None,
        viewer_key: bytes | None = None,
        is_in_fleet: bool = False,
    ) -> EdgeCore:
        """`epoch_s`: the wall time at `now_s == 0`. `hops`: what marks this node's requests; by
        the node's name when not given. `local_time`: the viewers', as the settings say it
        (nearcast.zones); by the offset alone when not given. `viewer_key`: a secret for the
        viewers' pseudonyms; when not given, one that anybody can guess. `is_in_fleet`: an origin is
        told what is served. Raises ConfigError without an upstream."""
        effects: EffectQueue[Effect] = EffectQueue()
        counters = Counters()
        services = Services(config)
        serving = Serving(
            config,
            epoch_s=epoch_s,
            services=services,
            effects=effects,
            counters=counters,
            recorder=recorder,
            hops=hops if hops is not None else Hops(config.name),
        )
        foresight = Foresight(
            config,
            epoch_s=epoch_s,
            services=services,
            effects=effects,
            residents=serving.residents,
            ledger=serving.ledger,
            open_fills=serving.open_fills,
            fills=serving.fills,
            counters=counters,
            recorder=recorder,
            local_time=local_time or fixed(config.sessions.utc_offset_h or 0.0),
            viewer_key=viewer_key,
            is_in_fleet=is_in_fleet,
        )
        following = Following(
            config,
            epoch_s=epoch_s,
            services=services,
            media_map=foresight.media_map,
            texts=foresight.texts,
            residents=serving.residents,
            ledger=serving.ledger,
            open_fills=serving.open_fills,
            fills=serving.fills,
            counters=counters,
            telemetry=foresight.telemetry,
            effects=effects,
        )
        return cls(
            config,
            epoch_s=epoch_s,
            services=services,
            effects=effects,
            counters=counters,
            serving=serving,
            hits=HitReports(
                serving=serving, foresight=foresight, counters=counters, is_in_fleet=is_in_fleet
            ),
            foresight=foresight,
            following=following,
            held_titles=HeldTitles(
                foresight.media_map, serving.residents, foresight.telemetry.ids.id_of
            ),
        )

    def find_hit(self, request: Requested, now_s: float) -> ServeObject | None:
        """The answer to a plain hit. Decides nothing and changes nothing; report it with
        `HitsServed` once it was sent."""
        return self._router.find_hit(request, now_s)

    # What a driver that remembers hits asks (edge.hot)

    def find_plain(self, request: Requested) -> HotEntry | None:
        """The entry from which such requests may be answered without asking for each."""
        return self._router.find_plain(request)

    @property
    def revision(self) -> int:
        """Changes when targets may mean other objects than before."""
        return self.services.revision

    @property
    def keeps_hosts_apart(self) -> bool:
        """Whether the same target may mean several objects, by the request's host."""
        return any(service.hosts for service in self.services.all)

    # -- the machine

    def handle(self, event: Event, now_s: float) -> None:
        self._see_time(now_s)
        match event:
            case Requested():
                self._requested(event, now_s)
            case HitsServed():
                self._hits.take(event)
            case FillProgress() | FillEnded():
                self._foresight.received(self._serving.arrived(event, now_s), now_s)
            case _:
                if not self._serving.handle(event, now_s):
                    self._handle_rare(event, now_s)
        self._settle(now_s)

    def _handle_rare(self, event: Event, now_s: float) -> None:
        match event:
            case Predicted():
                self._foresight.predicted(event, now_s)
            case PredictionFailed():
                self._foresight.prediction_failed(event, now_s)
            case ModelChanged():
                self._foresight.model_changed(event, now_s)
            case ForgetViewer():
                self._foresight.forget(event)
            case TimeTold(ahead_s=ahead_s):
                self.telemetry.time_told(ahead_s)
                self._following.handle(event, now_s)
            case PlacementEvent():
                self._following.handle(event, now_s)
            case ModelEvent():
                self._foresight.model_event(event, now_s)
            case TitlesEvent():
                self._foresight.titles_event(event, now_s)
            case CatalogLearned():
                self._foresight.catalog_learned(event, now_s)
            case ObjectRead():
                self._foresight.object_read(event, now_s)
            case ManifestRead():
                self._foresight.manifest_read(event, now_s)
                self._following.read(event.url)
            case Restored(objects=objects):
                self._serving.residents.restore(objects, now_s, self._epoch_s + now_s)
                self._foresight.restored()
            case Reconfigured(config=config):
                self._reconfigure(config, now_s)
            case Noticed(what=what, detail=detail):
                self.telemetry.noted(what, detail, now_s)
            case Draining():
                self._is_draining = True
                self._foresight.stop(now_s)
                self._following.stop(now_s)
            case _:
                raise LocalProtocolError(f"an edge knows no {type(event).__name__}")

    def advance(self, now_s: float) -> None:
        self._see_time(now_s)
        self._serving.advance(now_s)
        self._foresight.advance(now_s)
        self._settle(now_s)

    def deadline_s(self) -> float | None:
        return soonest(
            self._serving.deadline_s(self._now_s),
            self._foresight.deadline_s(self._now_s),
            self._following.deadline_s(self._now_s),
        )

    def drain(self) -> list[Effect]:
        return self._effects.drain()

    # -- figures

    def explain(self, url: str, now_s: float) -> Explanation | None:
        """Why an object was, is or was not fetched ahead; `url` as clients ask for it, or as it is
        fetched. None: it belongs to no service."""
        known = self.services.purge_url(url)
        return self._foresight.explain(known, now_s) if known is not None else None

    def is_cut_off(self, now_s: float) -> bool:
        """Whether there is nothing to serve: nothing is stored, and no upstream may be asked."""
        return self._serving.is_cut_off(now_s)

    def status(self, now_s: float) -> EdgeStatus:
        """All figures as of now."""
        return snapshot(
            self._config,
            uptime_s=now_s - (self._started_s if self._started_s is not None else now_s),
            is_draining=self._is_draining,
            counters=self._counters,
            ledger=self._serving.ledger,
            open_fills=self._serving.open_fills,
            residents=self._serving.residents,
            watching=self._foresight.figures(now_s),
            placement=self._following.figures(),
        )

    def models(self, now_s: float) -> ModelsFigures:
        """What models run, and how they do."""
        return self._foresight.models(now_s)

    def home_rows(
        self, client: str, headers: Headers, count: int, form: StreamFormat, now_s: float
    ) -> tuple[Row, ...]:
        """What a client may like (edge.titles.home)."""
        return self._foresight.home_rows(client, headers, count, form, now_s)

    def held_titles(self) -> tuple[str, bytes]:
        """Which titles are held, as a heartbeat says it, and an id of that. Each call looks at
        some of them anew."""
        self._held_titles.look()
        return self._held_titles.digest()

    # -- what follows

    def _reconfigure(self, config: EdgeConfig, now_s: float) -> None:
        self.services.reconfigure(config)
        self._config = config
        self._serving.reconfigure(config)
        self._foresight.reconfigure(config)
        self._serving.sweep(now_s)

    def _see_time(self, now_s: float) -> None:
        self._now_s = now_s
        if self._started_s is None:
            self._started_s = now_s

    def _requested(self, event: Requested, now_s: float) -> None:
        ask = self._router.take(event, now_s)
        if ask is not None and ask.method == "GET" and not ask.control.only_if_cached:
            self._foresight.observe(ask.url, event.target, event.headers, event.client, now_s)
            self._foresight.stir(now_s)

    def _settle(self, now_s: float) -> None:
        self._serving.settle(now_s)
        self._pass_on(now_s)
        self._foresight.settle(now_s)
        self._following.balance(now_s)
        self._pass_on(now_s)  # what became of fills that they have just given up

    def _pass_on(self, now_s: float) -> None:
        for outcome in self._serving.accounts.take_outcomes():
            self._foresight.fill_ended(outcome, now_s)
            self._following.fill_ended(outcome, now_s)
