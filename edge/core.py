"""The core of an edge: it wires the parts, and decides nothing itself.

    Requested ----> router --> desk (answers), fills (misses)
    Fill* events -> responses, fills --> residents, desk
    all requests -> foresight: sessions -> judge -> planner --> fills (prefetches)

Every part emits into one queue, so effects come out in the order they were decided. After each
event what the parts have to tell each other is passed on until nothing is left.
"""

from __future__ import annotations

from cache.http.headers import Headers
from edge.config import EdgeConfig
from edge.desk import Desk
from edge.effects import Effect, ServeObject
from edge.events import (
    CatalogLearned,
    ClientLeft,
    Draining,
    Event,
    FillBlocked,
    FillEnded,
    FillFailed,
    FillHeaders,
    FillInterim,
    FillProgress,
    ForgetViewer,
    HitsServed,
    ManifestRead,
    ModelChanged,
    Noticed,
    ObjectLost,
    ObjectRead,
    PassAnswered,
    Predicted,
    PredictionFailed,
    Purge,
    Reconfigured,
    Requested,
    ResponseEnded,
    Restored,
)
from edge.fill_accounts import FillAccounts
from edge.fill_course import FillCourse
from edge.fills import Fills
from edge.fleet.digest import HeldTitles
from edge.fleet.following import Following
from edge.fleet.orders import PlacementEvent, TimeTold
from edge.foresight import Foresight
from edge.hops import Hops
from edge.hot import HotEntry
from edge.ledger import Ledger
from edge.media_map import StreamFormat
from edge.models.events import ModelEvent
from edge.models.figures import ModelsFigures
from edge.open_fills import OpenFills
from edge.passes import Passes
from edge.peers import ONLY_IF_CACHED
from edge.prefetch.explanation import Explanation
from edge.purge import Purges
from edge.requests import Reader
from edge.residents import Residents
from edge.response_rules import ResponseRules
from edge.responses import Responses
from edge.router import Router
from edge.services import Services
from edge.snapshot import snapshot
from edge.status import Counters, EdgeStatus
from edge.titles.events import TitlesEvent
from edge.titles.home import Row
from edge.uncacheable import Uncacheable
from edge.upstreams import Upstreams
from nearcast.errors import LocalProtocolError
from nearcast.local_time import LocalTime, fixed
from nearcast.machine import EffectQueue
from nearcast.record import Recorder


class EdgeCore:
    """One cache node: a machine over edge.events."""

    def __init__(
        self,
        config: EdgeConfig,
        *,
        epoch_s: float,
        recorder: Recorder,
        hops: Hops,
        local_time: LocalTime,
        viewer_key: bytes | None = None,
        is_in_fleet: bool = False,
    ) -> None:
        self._config = config
        self._epoch_s = epoch_s
        self._now_s = 0.0
        self._started_s: float | None = None
        self._is_draining = False
        self._is_in_fleet = is_in_fleet
        self._effects: EffectQueue[Effect] = EffectQueue()
        self._counters = Counters()
        self.services = Services(config)
        """One object for all who ask whose a request or a URL is, drivers included."""
        self._reader = Reader(
            self.services, target_length_max=config.server.target_length_max, hops=hops
        )
        self._ledger = Ledger(effects=self._effects, counters=self._counters, recorder=recorder)
        self._rules = ResponseRules(config.http, self.services)
        self._residents = Residents(
            config,
            rules=self._rules,
            effects=self._effects,
            counters=self._counters,
            recorder=recorder,
        )
        self.plain = self._residents.plain
        """The entry of a URL, if a driver may serve it by itself."""
        self._desk = desk = Desk(
            config,
            epoch_s=epoch_s,
            effects=self._effects,
            ledger=self._ledger,
            residents=self._residents,
            counters=self._counters,
        )
        self._upstreams = Upstreams(config.http, self._counters)
        self._accounts = FillAccounts(self._counters, recorder)
        self._open_fills = OpenFills(
            config,
            epoch_s=epoch_s,
            effects=self._effects,
            upstreams=self._upstreams,
            accounts=self._accounts,
        )
        self._uncacheable = uncacheable = Uncacheable(config.http.uncacheable_s)
        self._responses = Responses(
            config,
            epoch_s=epoch_s,
            open_fills=self._open_fills,
            desk=desk,
            residents=self._residents,
            counters=self._counters,
            uncacheable=uncacheable,
            rules=self._rules,
        )
        self._fills = Fills(
            config,
            open_fills=self._open_fills,
            responses=self._responses,
            desk=desk,
            residents=self._residents,
            counters=self._counters,
            services=self.services,
        )
        self._course = FillCourse(
            config,
            effects=self._effects,
            open_fills=self._open_fills,
            accounts=self._accounts,
            responses=self._responses,
            desk=desk,
            residents=self._residents,
            counters=self._counters,
            uncacheable=uncacheable,
        )
        self._passes = Passes(
            epoch_s=epoch_s,
            services=self.services,
            residents=self._residents,
            open_fills=self._open_fills,
        )
        self._router = Router(
            config,
            epoch_s=epoch_s,
            reader=self._reader,
            ledger=self._ledger,
            desk=desk,
            residents=self._residents,
            open_fills=self._open_fills,
            fills=self._fills,
            passes=self._passes,
            uncacheable=uncacheable,
        )
        self._purges = Purges(
            epoch_s=epoch_s,
            effects=self._effects,
            services=self.services,
            residents=self._residents,
            open_fills=self._open_fills,
            counters=self._counters,
            recorder=recorder,
        )
        self._foresight = Foresight(
            config,
            epoch_s=epoch_s,
            services=self.services,
            effects=self._effects,
            residents=self._residents,
            ledger=self._ledger,
            open_fills=self._open_fills,
            fills=self._fills,
            counters=self._counters,
            recorder=recorder,
            local_time=local_time,
            viewer_key=viewer_key,
            is_in_fleet=is_in_fleet,
        )
        self.telemetry = self._foresight.telemetry
        self._following = Following(
            config,
            epoch_s=epoch_s,
            services=self.services,
            media_map=self._foresight.media_map,
            texts=self._foresight.texts,
            residents=self._residents,
            ledger=self._ledger,
            open_fills=self._open_fills,
            fills=self._fills,
            counters=self._counters,
            telemetry=self.telemetry,
            effects=self._effects,
        )
        self._held_titles = HeldTitles(
            self._foresight.media_map, self._residents, self.telemetry.ids.id_of
        )
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
        return cls(
            config,
            epoch_s=epoch_s,
            recorder=recorder,
            hops=hops if hops is not None else Hops(config.name),
            local_time=local_time or fixed(config.sessions.utc_offset_h or 0.0),
            viewer_key=viewer_key,
            is_in_fleet=is_in_fleet,
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
                self._hits_served(event, now_s)
            case ResponseEnded(request_id=request_id, sent_bytes=sent_bytes):
                if self._ledger.close(request_id, sent_bytes, now_s):
                    self._course.request_over(request_id, now_s)
            case ClientLeft(request_id=request_id, sent_bytes=sent_bytes):
                if self._ledger.close(request_id, sent_bytes, now_s):
                    self._course.client_left(request_id, now_s)
            case FillHeaders():
                self._course.headers(event, now_s)
            case FillProgress():
                self._foresight.received(self._course.progress(event, now_s), now_s)
            case FillEnded():
                self._foresight.received(self._course.ended(event, now_s), now_s)
            case FillFailed():
                self._course.failed(event, now_s)
            case FillInterim():
                self._course.interim(event, now_s)
            case FillBlocked():
                self._course.blocked(event, now_s)
            case _:
                self._handle_rare(event, now_s)
        self._settle(now_s)

    def _handle_rare(self, event: Event, now_s: float) -> None:
        match event:
            case PassAnswered():
                self._passes.answered(event, now_s)
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
            case ObjectLost(object_id=object_id):
                self._residents.lose(object_id, now_s)
            case Restored(objects=objects):
                self._residents.restore(objects, now_s, self._epoch_s + now_s)
                self._foresight.restored()
            case Purge():
                self._purges.begin(event, now_s)
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
        self._residents.advance(now_s)
        self._course.advance(now_s)
        self._purges.advance(now_s)
        self._foresight.advance(now_s)
        self._settle(now_s)

    def deadline_s(self) -> float | None:
        deadlines = (
            self._residents.deadline_s(),
            self._course.deadline_s(),
            self._purges.deadline_s(self._now_s),
            self._foresight.deadline_s(self._now_s),
            self._following.deadline_s(self._now_s),
        )
        return min([one for one in deadlines if one is not None], default=None)

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
        return len(self._residents) == 0 and self._upstreams.are_failing(
            {
                f"{service.target.scheme}://{service.target.authority}"
                for service in self.services.all
            },
            now_s,
        )

    def status(self, now_s: float) -> EdgeStatus:
        """All figures as of now."""
        return snapshot(
            self._config,
            uptime_s=now_s - (self._started_s if self._started_s is not None else now_s),
            is_draining=self._is_draining,
            counters=self._counters,
            ledger=self._ledger,
            open_fills=self._open_fills,
            residents=self._residents,
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

    # -- wiring

    def _reconfigure(self, config: EdgeConfig, now_s: float) -> None:
        self.services.reconfigure(config)
        self._config = config
        self._reader.target_length_max = config.server.target_length_max
        self._uncacheable.lifetime_s = config.http.uncacheable_s
        self._rules.reconfigure(config.http)
        self._upstreams.reconfigure(config.http)
        for part in (
            self._desk,
            self._open_fills,
            self._fills,
            self._course,
            self._responses,
            self._router,
            self._foresight,
        ):
            part.reconfigure(config)
        self._purges.sweep(now_s)

    def _see_time(self, now_s: float) -> None:
        self._now_s = now_s
        if self._started_s is None:
            self._started_s = now_s

    def _requested(self, event: Requested, now_s: float) -> None:
        ask = self._router.take(event, now_s)
        if ask is not None and ask.method == "GET" and not ask.control.only_if_cached:
            self._foresight.observe(ask.url, event.target, event.headers, event.client, now_s)
            self._foresight.stir(now_s)

    def _hits_served(self, event: HitsServed, now_s: float) -> None:
        touch, observe = self._residents.touch, self._foresight.observe
        is_recorded = self._ledger.is_recorded
        tell = self.telemetry.sent if self.telemetry.is_on else None
        sent_bytes = peer_count = 0
        for hit in event.hits:
            if self._is_in_fleet and ONLY_IF_CACHED in hit.headers:  # another edge: no viewer's use
                peer_count += 1
                self._counters.peer_sent_bytes += hit.sent_bytes
                continue
            used_bytes = 0
            if hit.sent_bytes:
                used_bytes = touch(hit.object_id)
                sent_bytes += hit.sent_bytes
            url = hit.url or self._reader.url(hit.target, hit.headers)
            if is_recorded:
                self._ledger.record_hit(
                    url, hit.sent_bytes, at_s=hit.at_s, is_prefetched=used_bytes > 0
                )
            if tell is not None:
                tell(url, hit.headers, hit.sent_bytes, is_resident=True)
            observe(url, hit.target, hit.headers, hit.client, hit.at_s)
        self._ledger.hits(len(event.hits) - peer_count, sent_bytes)
        if event.hits:
            self._foresight.stir(event.hits[-1].at_s)

    def _settle(self, now_s: float) -> None:
        while asks := self._open_fills.take_resubmitted():
            for ask in asks:
                self._router.route(ask, now_s)
        self._pass_on(now_s)
        self._foresight.settle(now_s)
        self._following.balance(now_s)
        self._pass_on(now_s)  # what became of fills that they have just given up

    def _pass_on(self, now_s: float) -> None:
        for outcome in self._accounts.take_outcomes():
            self._foresight.fill_ended(outcome, now_s)
            self._following.fill_ended(outcome, now_s)
