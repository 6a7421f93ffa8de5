"""The conversation with a title's steering server.

    waiting -> asking -> waiting -> ...           stopped (HTTP 410)

HLS asks at the start and plays on meanwhile; DASH asks before the start, which then waits a moment
for the answer, or after the first segment, as the manifest says. The next question is due when the
answer's TTL is over, at its RELOAD-URI. What fails changes nothing: the last answer holds, and the
server is asked again, later each time but no later than a TTL; after 429 when it says.

What comes of an answer is an order of pathways and the clones in it, for abr.hosts: that decides
for each request where it goes, by this order and by how the hosts are. So a request under way is
never moved, and a pathway that fails is left for the next one without asking anybody.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import msgspec

from abr import events as ev
from abr.config import SteeringConfig
from abr.hosts import Hosts
from abr.pathways import PathwayLog
from abr.playback import TIME_S_TOLERANCE
from abr.report import SteeringAnswer, SteeringReport
from abr.transfer import Transfer
from nearcast.backoff import doubled_s
from nearcast.errors import RemoteProtocolError
from nearcast.machine import EffectQueue
from nearcast.manifests import SteeringTag
from nearcast.manifests.limits import join
from nearcast.media import TrackKind
from nearcast.steering import (
    CLONES_MAX,
    MANIFEST_BYTES_MAX,
    TTL_S_DEFAULT,
    TTL_S_MAX,
    TTL_S_MIN,
    Measured,
    PathwayClone,
    decode,
    with_query,
)

GONE = 410
TOO_MANY = 429
RETRY_S = 10.0
"""After a first failure, then twice that; the specifications want a TTL, at worst five minutes, in
which a title would go unsteered because the server was being restarted when it began."""
ANSWERS_MAX = 50
"""So many are listed in a report; all are counted."""


class _Question(msgspec.Struct, frozen=True):
    request_id: int
    asked_s: float


class Steering:
    """Of one title. It begins when the manifest speaks of it, and does nothing until then; the
    manifest's own order is in force until the first answer. `allows` says which URLs may be asked
    where the settings bind it to those."""

    def __init__(
        self,
        config: SteeringConfig,
        *,
        hosts: Hosts,
        effects: EffectQueue[ev.Effect],
        request_ids: Iterator[int],
        allows: Callable[[str], bool],
    ) -> None:
        self._config = config
        self._hosts = hosts
        self._effects = effects
        self._request_ids = request_ids
        self._allows = allows if config.hosts == "allowed" else lambda url: True
        self._tag: SteeringTag | None = None
        self._begun_s = 0.0
        self._log = PathwayLog(0.0)
        self._url = ""
        self._ttl_s = TTL_S_DEFAULT
        self._clones: dict[str, PathwayClone] = {}
        self._question: _Question | None = None
        self._ask_at_s: float | None = None
        self._hold_until_s = -math.inf
        self._failures_in_row = 0
        self._is_stopped = False
        self._answer_count = 0
        self._failure_count = 0
        self._answers: list[SteeringAnswer] = []

    def begin(self, tag: SteeringTag | None, *, begun_s: float, now_s: float) -> None:
        """The manifest is here, and says this; play was pressed at `begun_s`."""
        if tag is None or self._tag is not None:
            return
        self._tag, self._url = tag, tag.server_url
        self._begun_s, self._log = begun_s, PathwayLog(begun_s)
        if not self._allows(self._url):
            self._stop(now_s, f"{urlsplit(self._url).netloc} is not among allow_hosts")
        elif tag.protocol == "HLS":
            self._ask_at_s = now_s
        elif tag.query_before_start:
            self._ask_at_s = now_s
            self._hold_until_s = now_s + self._config.wait_s
        self.advance(now_s)

    def is_holding(self, now_s: float) -> bool:
        """Media waits for the first answer."""
        return now_s < self._hold_until_s - TIME_S_TOLERANCE

    def due_s(self, now_s: float) -> float | None:
        """When `advance` wants to be called."""
        due = [self._hold_until_s] if self.is_holding(now_s) else []
        if self._question is not None:
            due.append(self._question.asked_s + self._config.timeout_s)
        elif self._ask_at_s is not None:
            due.append(self._ask_at_s)
        return min(due, default=None)

    def advance(self, now_s: float) -> None:
        """Ask if it is time, or give the question up."""
        question = self._question
        if question is not None:
            if now_s >= question.asked_s + self._config.timeout_s - TIME_S_TOLERANCE:
                self._effects.emit(ev.CancelRequest(request_id=question.request_id))
                self._failed(f"no answer within {self._config.timeout_s:g} s", now_s)
        elif self._ask_at_s is not None and now_s >= self._ask_at_s - TIME_S_TOLERANCE:
            self._ask(now_s)

    def takes(self, event: ev.Event, now_s: float) -> bool:
        """Whether the event was an answer to the question, which is then dealt with."""
        question = self._question
        if question is None or getattr(event, "request_id", None) != question.request_id:
            return False
        if isinstance(event, ev.SteeringAnswered):
            self._answered(event, now_s)
        elif isinstance(event, ev.ResponseFailed):
            self._refused(event, now_s)
        return True

    def served(
        self,
        transfer: Transfer,
        throughput_kbps: float | None,
        now_s: float,
        *,
        main: TrackKind,
    ) -> None:
        """A segment is here."""
        if self._tag is None:
            return
        self._log.served(transfer, throughput_kbps, now_s, is_main=transfer.track == main)
        is_first = self._answer_count + self._failure_count == 0
        if is_first and self._ask_at_s is None and self._question is None:
            self._ask_at_s = now_s

    def close(self) -> None:
        """The title is over."""
        if self._question is not None:
            self._effects.emit(ev.CancelRequest(request_id=self._question.request_id))
        self._question, self._ask_at_s = None, None

    def report(self) -> SteeringReport | None:
        if self._tag is None:
            return None
        return SteeringReport(
            server_url=self._tag.server_url,
            protocol=self._tag.protocol,
            answer_count=self._answer_count,
            failure_count=self._failure_count,
            is_stopped=self._is_stopped,
            answers=tuple(self._answers),
            pathways=self._log.uses(),
            switch_count=self._log.switch_count,
            switches=self._log.switches(),
        )

    def _ask(self, now_s: float) -> None:
        assert self._tag is not None
        measured = self._log.take_measured()
        if not measured and self._tag.protocol == "HLS":
            # The draft wants the pathway named with every question, even before anything came.
            measured = tuple(Measured(pathway=each) for each in self._tag.pathways[:1])
        self._question = _Question(next(self._request_ids), now_s)
        self._ask_at_s = None
        self._effects.emit(
            ev.AskSteering(
                request_id=self._question.request_id,
                url=with_query(self._url, measured, self._tag.protocol),
                size_bytes_max=MANIFEST_BYTES_MAX,
            )
        )

    def _answered(self, event: ev.SteeringAnswered, now_s: float) -> None:
        try:
            answer = decode(event.text)
        except RemoteProtocolError as error:
            self._failed(str(error), now_s)
            return
        self._question = None
        self._failures_in_row = 0
        self._answer_count += 1
        self._hold_until_s = now_s
        self._ttl_s = answer.ttl_s
        self._ask_at_s = now_s + answer.ttl_s
        self._reload_at(event.url, answer.reload_uri)
        self._clones |= {clone.id: clone for clone in answer.clones}
        self._clones = dict([*self._clones.items()][-CLONES_MAX:])
        clones = tuple(self._usable(answer.pathways))
        is_deep = self._tag is not None and self._tag.protocol == "DASH"
        self._hosts.steer(answer.pathways, clones, has_deep_params=is_deep)
        self._note(
            SteeringAnswer(
                at_s=now_s - self._begun_s,
                ttl_s=answer.ttl_s,
                pathways=answer.pathways,
                clone_count=len(clones),
            )
        )

    def _reload_at(self, found_at: str, reload_uri: str) -> None:
        if not reload_uri:
            return
        try:
            url = join(found_at, reload_uri)
        except RemoteProtocolError:
            return
        is_worse = self._url.startswith("https:") and not url.startswith("https:")
        if not is_worse and self._allows(url):
            self._url = url

    def _usable(self, pathways: tuple[str, ...]) -> Iterator[PathwayClone]:
        """Those that are wanted, and what they are clones of, from as many hosts as may be."""
        wanted = dict.fromkeys(pathways)
        for each in pathways:
            clone = self._clones.get(each)
            if clone is not None and clone.base_id in self._clones:
                wanted.setdefault(clone.base_id)
        hosts: set[str] = set()
        chosen: dict[str, PathwayClone] = {}
        for each in wanted:
            clone = self._clones.get(each)
            if clone is None:
                continue
            rules = clone.replacement
            urls = [*rules.variant_uris.values(), *rules.rendition_uris.values()]
            urls += [f"https://{rules.host}/"] if rules.host else []
            named = {urlsplit(url).netloc for url in urls}
            is_few = len(hosts | named) <= self._config.host_count_max
            if is_few and all(self._allows(url) for url in urls):
                hosts |= named
                chosen[each] = clone
        # A clone comes after what it is made of.
        return iter(sorted(chosen.values(), key=lambda each: each.base_id in chosen))

    def _refused(self, failure: ev.ResponseFailed, now_s: float) -> None:
        if failure.status == GONE:
            self._stop(now_s, failure.detail)
            return
        self._failed(failure.detail, now_s)
        if failure.status == TOO_MANY:
            wait_s = self._ttl_s if failure.retry_after_s is None else failure.retry_after_s
            self._ask_at_s = now_s + min(max(wait_s, TTL_S_MIN), TTL_S_MAX)

    def _failed(self, detail: str, now_s: float) -> None:
        self._question = None
        self._hold_until_s = now_s
        self._failure_count += 1
        pause_s = doubled_s(RETRY_S, self._failures_in_row, self._ttl_s)
        self._failures_in_row += 1
        self._ask_at_s = now_s + self._hosts.spread(pause_s)
        self._note(SteeringAnswer(at_s=now_s - self._begun_s, detail=detail))

    def _stop(self, now_s: float, detail: str) -> None:
        self._failed(detail, now_s)
        self._ask_at_s = None
        self._is_stopped = True

    def _note(self, answer: SteeringAnswer) -> None:
        if len(self._answers) < ANSWERS_MAX:
            self._answers.append(answer)
