"""What the edge makes of the requests it serves: who watches what, and what comes next.

    requests -> sessions -> checkpoints -> judge (model or rule) -> planner -> prefetches
    manifests -> media map          catalogue -> successors

This is the wiring of those parts; nothing here can delay or change an answer to a client, except
that a prefetch already running is joined.
"""

from __future__ import annotations

import hashlib

from cache.http.headers import Headers
from edge.config import EdgeConfig
from edge.effects import Effect, FetchCatalog, ViewerForgotten
from edge.events import (
    CatalogLearned,
    ForgetViewer,
    ManifestRead,
    ModelChanged,
    ObjectRead,
    Predicted,
    PredictionFailed,
)
from edge.fill import FillOutcome
from edge.fills import Fills
from edge.ledger import Ledger
from edge.media_map import MediaMap, StreamFormat
from edge.models.events import ModelEvent
from edge.models.figures import ModelsFigures
from edge.models.lifecycle import Lifecycle
from edge.models.outcomes import Outcomes
from edge.numbered import Numbers
from edge.open_fills import OpenFills
from edge.prefetch.explanation import Explainer, Explanation
from edge.prefetch.judge import Judge
from edge.prefetch.office import Office
from edge.records import CatalogSeen
from edge.residents import Residents
from edge.services import Services
from edge.sessions import Session, Sessions
from edge.snapshot import Watching
from edge.status import Counters
from edge.successors import Successors
from edge.telemetry.desk import TelemetryDesk
from edge.telemetry.titles import TitleIds
from edge.texts import Texts
from edge.titles.advisor import Advisor
from edge.titles.events import TitlesEvent, TitlesModelChanged
from edge.titles.home import HomeRows, Row
from edge.titles.names import Names
from edge.unmapped import Unmapped
from edge.viewers import Viewers
from nearcast.local_time import LocalTime
from nearcast.machine import EffectQueue, soonest
from nearcast.record import Recorder


class Foresight:
    """Sessions, predictions and prefetches of one edge."""

    def __init__(
        self,
        config: EdgeConfig,
        *,
        epoch_s: float,
        services: Services,
        effects: EffectQueue[Effect],
        residents: Residents,
        ledger: Ledger,
        open_fills: OpenFills,
        fills: Fills,
        counters: Counters,
        recorder: Recorder,
        local_time: LocalTime,
        viewer_key: bytes | None,
        is_in_fleet: bool = False,
    ) -> None:
        self._config = config.prefetch
        self._services = services
        self._effects = effects
        self._recorder = recorder
        self._catalog_asked_s: float | None = None
        self.media_map = MediaMap(services, config.sessions, counters=counters, recorder=recorder)
        numbers = Numbers(config.prefetch.series)
        self._successors = Successors(services, numbers)
        self._names = Names(services, numbers)
        if viewer_key is None:  # in simulations, which have no secrets and must repeat
            viewer_key = hashlib.blake2b(f"{config.name} {epoch_s!r}".encode()).digest()
        self._viewers = Viewers(
            config.sessions.viewers_max, viewer_key, history_s=config.sessions.history_s
        )
        self._sessions = Sessions(
            config.sessions,
            services=services,
            media_map=self.media_map,
            successors=self._successors,
            viewers=self._viewers,
            counters=counters,
            recorder=recorder,
            tells_moves=self._config.enabled and self._config.in_session_s > 0,
        )
        self.observe = self._sessions.observe
        """A client asked for this URL: (url, target, headers, client, at_s). Bound here and asked
        directly: it is called for every hit."""
        self._outcomes = Outcomes(config.models.pending_max, history_s=config.sessions.history_s)
        self._models = Lifecycle(
            config, outcomes=self._outcomes, effects=effects, recorder=recorder
        )
        self._judge = Judge(
            config,
            epoch_s=epoch_s,
            local_time=local_time,
            successors=self._successors,
            effects=effects,
            counters=counters,
            recorder=recorder,
            asked=self._asked,
            kept_s=residents.kept_s,
        )
        self.texts = Texts(
            media_map=self.media_map, residents=residents, effects=effects, counters=counters
        )
        self._advisor = Advisor(
            config, names=self._names, successors=self._successors, effects=effects
        )
        self._home = HomeRows(
            self._advisor, names=self._names, viewers=self._viewers, services=services
        )
        self.telemetry = TelemetryDesk(
            config.telemetry,
            is_on=is_in_fleet and config.telemetry.enabled,
            epoch_s=epoch_s,
            media_map=self.media_map,
            successors=self._successors,
            ids=TitleIds(services),
            effects=effects,
        )
        if is_in_fleet:
            self._sessions.on_report = self.telemetry.heard
            ledger.on_sent = self.telemetry.answered
        self._fills = fills
        self._unmapped = Unmapped(services, self.media_map, self._fetch_manifest)
        if is_in_fleet:  # players may be steered here, who have their manifests elsewhere
            self._sessions.on_unknown = self._unmapped.seen
        self._needs_catalogs = self._config.enabled or self._advisor.is_on or is_in_fleet
        self._office = office = Office(
            config,
            epoch_s=epoch_s,
            local_time=local_time,
            media_map=self.media_map,
            advisor=self._advisor,
            texts=self.texts,
            residents=residents,
            ledger=ledger,
            open_fills=open_fills,
            fills=fills,
        )
        self._planner = office.planner
        self._explainer = Explainer(
            office=office, media_map=self.media_map, residents=residents, open_fills=open_fills
        )
        self._expectations = office.expectations
        self._news = residents.news
        if self._needs_catalogs:
            self._ask_for_catalogs()

    def reconfigure(self, config: EdgeConfig) -> None:
        """Of the settings only where the catalogues are changes while a node runs."""
        self._successors.keep_only(self._services.catalog_urls())
        self._names.keep_only(self._services.catalog_urls())
        self.telemetry.ids.keep_only(self._services.catalog_urls())
        self._unmapped.keep_only(self._services.catalog_urls())
        if self._needs_catalogs:
            self._ask_for_catalogs()

    # -- what happens

    def stir(self, now_s: float) -> None:
        """Clients are there: new episodes appear while the node runs; while nobody watches, nobody
        needs them."""
        if self._catalog_asked_s is None:
            self._catalog_asked_s = now_s
        elif self._needs_catalogs and (
            now_s - self._catalog_asked_s >= self._config.catalog_refresh_s
        ):
            self._catalog_asked_s = now_s
            self._ask_for_catalogs()

    def _ask_for_catalogs(self) -> None:
        for url in self._services.catalog_urls():
            self._effects.emit(FetchCatalog(url=url))

    def _fetch_manifest(self, url: str, now_s: float) -> bool:
        """Bring a manifest to the map, from the store or from upstream."""
        return self.texts.want(url, ()) or self._fills.fetch_text(url, now_s)

    def fill_ended(self, outcome: FillOutcome, now_s: float) -> None:
        if outcome.text is not None:
            self.texts.read(outcome.url, outcome.text)
        if not (outcome.was_prefetch or outcome.was_planned):
            self._office.accounts.demanded(outcome, now_s)
        self.telemetry.fetched(outcome)
        self._planner.ended(outcome, now_s)

    def object_read(self, event: ObjectRead, now_s: float) -> None:
        url = self.texts.arrived(event)
        if url is not None and event.text is not None:
            self.texts.read(url, event.text)

    def manifest_read(self, event: ManifestRead, now_s: float) -> None:
        self.texts.done(event)
        if event.manifest is not None:
            self.media_map.learn(event.url, event.manifest, now_s)
        else:
            self.media_map.ignore(event.url, event.detail, now_s)
        if self.media_map.title(event.url) is None:
            self._planner.unreadable(event.url)
        self.telemetry.learned()
        self._planner.learned()
        self._expectations.learned(event.url, now_s)

    def restored(self) -> None:
        self.texts.restored()

    def catalog_learned(self, event: CatalogLearned, now_s: float) -> None:
        self._successors.learn(event)
        self.telemetry.ids.learn(event)
        self._unmapped.learn(event)
        if self._advisor.is_on:
            self._names.learn(event)
        self._recorder.record(
            CatalogSeen(
                at_s=now_s,
                revision=event.catalog.revision,
                title_count=len(event.catalog.titles),
            )
        )

    def predicted(self, event: Predicted, now_s: float) -> None:
        self._models.predicted(event, now_s)
        self._judge.predicted(event, now_s)

    def prediction_failed(self, event: PredictionFailed, now_s: float) -> None:
        self._judge.failed(event, now_s)

    def model_event(self, event: ModelEvent, now_s: float) -> None:
        self._models.handle(event, now_s)

    def titles_event(self, event: TitlesEvent, now_s: float) -> None:
        if isinstance(event, TitlesModelChanged) and self._advisor.is_another(event):
            self._office.trust.forget("titles")  # what another one was worth says nothing of it
        self._advisor.handle(event, now_s)

    def forget(self, event: ForgetViewer) -> None:
        """What is being fetched ahead for them alone is given up with their sessions."""
        forgotten = self._viewers.forget(event.client, event.user_agent)
        session_count = self._sessions.drop(forgotten)
        self._advisor.forget(forgotten)
        self._effects.emit(
            ViewerForgotten(
                forget_id=event.forget_id,
                viewer_count=len(forgotten),
                session_count=session_count,
                question_count=sum(map(self._outcomes.forget, forgotten)),
            )
        )

    def _asked(
        self, prediction_id: int, session: Session, successor_url: str, row: tuple[float, ...]
    ) -> None:
        self._outcomes.asked(prediction_id, session, successor_url)
        self._models.asked(row)

    def model_changed(self, event: ModelChanged, now_s: float) -> None:
        if event.model_id != self._judge.model_id:
            self._office.trust.forget("model")  # what another one was worth says nothing of it
        self._judge.model_changed(event, now_s)

    def received(self, unasked_bytes: int, now_s: float) -> None:
        """So much has arrived that nobody asked for."""
        self._planner.received(unasked_bytes, now_s)

    def stop(self, now_s: float) -> None:
        self._planner.stop(now_s)
        self.telemetry.flush(now_s)

    # -- time

    def advance(self, now_s: float) -> None:
        self._sessions.advance(now_s)
        self._viewers.advance(now_s)
        self._models.advance(now_s)
        self._advisor.advance(now_s)
        self._judge.advance(now_s)
        self.telemetry.advance(now_s)
        self._planner.stir()

    def deadline_s(self, now_s: float) -> float | None:
        return soonest(
            self._sessions.deadline_s(),
            self._viewers.deadline_s(),
            self._models.deadline_s(now_s),
            self._judge.deadline_s(),
            self._office.heads.deadline_s(),
            self._planner.deadline_s(now_s),
            self.telemetry.deadline_s(),
        )

    def settle(self, now_s: float) -> None:
        """Pass on what the parts have found, then bring the prefetches in line."""
        if self._news:
            self._office.accounts.heard(self._news, now_s)
            self._news.clear()
        if self._sessions.has_news or self._judge.has_verdicts:
            self._pass_on(now_s)
        if gone := self._viewers.take_gone():
            self._expectations.forget(gone)
        self._office.heads.refresh(now_s)
        self._planner.balance(now_s)
        self.telemetry.settle(now_s)

    def _pass_on(self, now_s: float) -> None:
        following = self._office.next_episode
        for session in self._sessions.take_started():
            self._judge.observed.started(session)
            self._outcomes.started(session, now_s)
            self.telemetry.started(session)
            following.started(session)
            self._expectations.watched(session, now_s)
            self._advisor.started(session, now_s)
            self._office.heads.started(session.title_url)
        for session in self._sessions.take_begun():
            following.begun(session)
            self.telemetry.begun(session)
            self._expectations.watched(session, now_s)
        for move in self._sessions.take_moves():
            self._office.in_session.moved(move)
        for checkpoint in self._sessions.take_reached():
            self._judge.reached(checkpoint, now_s)
            self._expectations.watched(checkpoint.session, now_s)
            self._advisor.reached(checkpoint, now_s)
        for verdict in self._judge.take_verdicts():
            following.decided(verdict, now_s)
            self._expectations.decided(verdict, now_s)
            self._advisor.decided(verdict, now_s)
        for session in self._sessions.take_ended():
            self._outcomes.ended(session)
            self.telemetry.ended(session, now_s)
            following.ended(session)
            self._expectations.ended(session, now_s)
            self._office.in_session.ended(session)

    def explain(self, url: str, now_s: float) -> Explanation:
        """Why an object was, is or was not fetched ahead; `url` as the edge knows it."""
        return self._explainer.explain(url, now_s)

    def models(self, now_s: float) -> ModelsFigures:
        """Apart from the other figures: it takes milliseconds."""
        return self._models.figures(now_s)

    def home_rows(
        self, client: str, headers: Headers, count: int, form: StreamFormat, now_s: float
    ) -> tuple[Row, ...]:
        """What a client may like."""
        return self._home.rows(client, headers, count, form, now_s)

    def figures(self, now_s: float) -> Watching:
        return Watching(
            title_count=len(self.media_map),
            titles_bytes=self.media_map.size_bytes,
            session_count=len(self._sessions),
            viewer_count=len(self._viewers),
            model_id=self._judge.model_id,
            model_detail=self._judge.model_detail,
            prefetch_threshold=self._judge.threshold,
            prefetch_sources=self._office.trust.figures(now_s),
            titles=self._advisor.figures(),
        )
