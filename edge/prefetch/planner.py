"""Fetching successors ahead, within what the link and the store have to spare.

A verdict makes an intent (edge.prefetch.staging), one per viewing session. Whenever something has
happened, `balance` brings the running prefetches in line with four rules:

    demand first   while a client waits for upstream, running prefetches are paused and none starts
    the budget     no more than its rate on average (edge.prefetch.budget), few at a time
    the store      no more than prefetched objects may take; nothing useful is pushed out for them
    heads first    every viewer's first seconds come before anyone's rest

Viewers share by URL: what one intent fetches, another finds settled. An intent ends when its viewer
starts the successor (from then on it is demand), goes away, turns out not to be worth it at a later
checkpoint, or when upstream does not allow storing.
"""

from __future__ import annotations

from collections import OrderedDict

from edge.config import EdgeConfig
from edge.fill import FillOutcome
from edge.fills import Fills
from edge.ledger import Ledger
from edge.media_map import MediaMap
from edge.open_fills import OpenFills
from edge.prefetch.budget import Budget
from edge.prefetch.judge import Verdict
from edge.prefetch.staging import Intent, Staging, Want
from edge.prefetch.starts import Starts, start_threshold
from edge.prefetch.value import threshold
from edge.residents import Residents
from edge.sessions import Session
from edge.texts import Texts

REST_S = 1.0
"""How long an intent with nothing to do is not looked at, unless something happens to it: with
thousands of them, looking at all whenever a fill ends would cost more than the fill."""

FAILED_MAX = 10_000
"""Failed URLs remembered; one pushed out early is tried again early."""


class Planner:
    """Starts, pauses and ends prefetches."""

    def __init__(
        self,
        config: EdgeConfig,
        *,
        epoch_s: float,
        media_map: MediaMap,
        texts: Texts,
        residents: Residents,
        ledger: Ledger,
        open_fills: OpenFills,
        fills: Fills,
    ) -> None:
        self._config = config.prefetch
        self._epoch_s = epoch_s
        self._map = media_map
        self._texts = texts
        self._residents = residents
        self._ledger = ledger
        self._open = open_fills
        self._fills = fills
        self._starts = Starts(start_threshold(config.prefetch, threshold(config.prefetch)))
        self._budget = Budget(config.prefetch.rate_kbps, config.prefetch.burst_s)
        self._staging = Staging(
            config.prefetch.head_s,
            config.prefetch.start_s,
            media_map=media_map,
            is_settled=self._is_settled,
            is_coming=lambda url: bool(open_fills.of_url(url)) or texts.is_coming(url),
        )
        self._intents: OrderedDict[str, Intent] = OrderedDict()  # by session, oldest first
        self._running: dict[int, tuple[Intent, int]] = {}  # fill -> its intent, bytes expected
        self._failed: OrderedDict[str, float] = OrderedDict()  # URL -> left alone until
        self._is_stirred = False
        self._is_stopped = not config.prefetch.enabled

    def __len__(self) -> int:
        """Intents."""
        return len(self._intents)

    # -- what is wanted

    def decided(self, verdict: Verdict) -> None:
        """A viewer's successor is worth fetching, or not (any more)."""
        name = verdict.session.name
        if not verdict.is_wanted or self._is_stopped:
            self._intents.pop(name, None)
            return
        intent = self._intents.get(name)
        if intent is None:
            intent = self._intents[name] = Intent(verdict.session, verdict.successor_url)
            if len(self._intents) > self._config.plans_max:
                self._intents.popitem(last=False)
        if verdict.share >= self._config.rest_at:
            intent.is_rest_wanted = True
        intent.start_rungs = self._starts.likely(verdict.session)
        intent.rests_until_s = 0.0
        self.stir()

    def session_begun(self, session: Session) -> None:
        """A viewer has asked for the first picture of a title."""
        self._starts.learn(session)

    def session_started(self, session: Session) -> None:
        """From now on this viewer asks for the title itself."""
        for name, intent in tuple(self._intents.items()):
            if (
                intent.session.viewer is session.viewer
                and intent.successor_url == session.title_url
            ):
                del self._intents[name]

    def session_ended(self, session: Session) -> None:
        """What was not started for this viewer is not needed."""
        self._intents.pop(session.name, None)

    def stop(self, now_s: float) -> None:
        """The node is about to end: nothing of its own accord any more."""
        self._is_stopped = True
        self._intents.clear()
        for fill in self._open.prefetches():
            self._open.cancel(fill, "draining", now_s)

    # -- what happens

    def stir(self) -> None:
        """Something changed: there may be something to fetch now."""
        self._is_stirred = True

    def learned(self) -> None:
        """A manifest was read: who waited for it can go on."""
        for intent in self._intents.values():
            intent.rests_until_s = 0.0
        self.stir()

    def received(self, size_bytes: int, now_s: float) -> None:
        """So much has arrived that nobody asked for."""
        if size_bytes:
            self._budget.charge(size_bytes, now_s)

    def ended(self, outcome: FillOutcome, now_s: float) -> None:
        """A fill is over."""
        self.stir()
        running = self._running.pop(outcome.fill_id, None)
        if running is None:
            return
        running[0].rests_until_s = 0.0
        if outcome.result in ("stored", "not_modified"):
            return
        self._leave_alone(outcome.url, now_s)
        intent, _ = running
        is_hopeless = outcome.result == "not_stored" or (
            outcome.result == "cancelled" and outcome.was_barred
        )
        if is_hopeless or outcome.url == intent.successor_url:
            self._drop(intent)

    def unreadable(self, url: str) -> None:
        """What was fetched as a manifest is none: its title cannot be fetched ahead."""
        for intent in tuple(self._intents.values()):
            if intent.successor_url == url:
                self._drop(intent)

    def balance(self, now_s: float) -> None:
        """Bring what is running in line with the rules above."""
        if not self._is_stirred and not self._open.has_prefetches:
            return
        prefetches = self._open.prefetches()
        must_wait = (
            self._open.demand_count > 0 or self._ledger.pass_count > 0 or self._budget.is_dry(now_s)
        )
        for fill in prefetches:
            if must_wait:
                self._open.pause(fill, now_s)
            else:
                self._open.resume(fill, now_s)
        if must_wait or self._is_stopped:
            return
        running_count = len(prefetches)
        while self._is_stirred and running_count < self._config.in_flight_max:
            if self._open.is_full or not self._start_next(now_s):
                self._is_stirred = False
            else:
                running_count += 1

    def deadline_s(self, now_s: float) -> float | None:
        """When the budget lets something go on."""
        if not self._is_stirred and not self._open.has_prefetches:
            return None
        is_blocked = self._open.demand_count > 0 or self._ledger.pass_count > 0
        if self._is_stopped or is_blocked or not self._budget.is_dry(now_s):
            return None
        return self._budget.ready_s(now_s)

    def _start_next(self, now_s: float) -> bool:
        for with_rest in (False, True):
            for intent in tuple(self._intents.values()):
                if intent.rests_until_s > now_s:
                    continue
                want = self._staging.next_want(intent, now_s, with_rest=with_rest)
                if want is None and with_rest:
                    intent.rests_until_s = now_s + REST_S
                if want is None or not self._open.upstreams.is_well(want.url):
                    continue
                if self._has_room(want):
                    fill_id = self._fills.prefetch(
                        want.url,
                        intent.session.shared_headers,
                        now_s + self._config.lifetime_s,
                        now_s,
                    )
                    self._running[fill_id] = intent, want.size_bytes
                    return True
        return False

    def _has_room(self, want: Want) -> bool:
        index = self._residents.index
        expected_bytes = sum(size_bytes for _, size_bytes in self._running.values())
        taken_bytes = index.prefetched_bytes + expected_bytes + want.size_bytes
        return taken_bytes <= index.prefetch_bytes_max

    def _is_settled(self, url: str, session: Session, now_s: float) -> bool:
        if not self._map.is_inside(url) or self._open.of_url(url) or self._texts.is_coming(url):
            return True
        if self._failed.get(url, now_s) > now_s:
            return True
        entry = self._residents.match(url, session.shared_headers)
        if entry is None:
            return False
        wall_s = self._epoch_s + now_s
        is_fresh = entry.freshness.fresh_until_wall_s > wall_s
        # What is stale at once, by its origin's word, is worth holding for its validator.
        is_recent = entry.stored.received_wall_s + self._config.retry_s > wall_s
        if not (is_fresh or is_recent):
            return False
        self._residents.extend(entry.stored.object_id, now_s + self._config.lifetime_s)
        if self._texts.want(url, session.shared_headers):
            # A manifest that is here but not on the map: once read it is, or it never will be.
            self._leave_alone(url, now_s)
        return True

    def _leave_alone(self, url: str, now_s: float) -> None:
        self._failed.pop(url, None)
        self._failed[url] = now_s + self._config.retry_s
        if len(self._failed) > FAILED_MAX:
            self._failed.popitem(last=False)

    def _drop(self, intent: Intent) -> None:
        self._intents.pop(intent.session.name, None)
