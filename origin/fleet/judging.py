"""Moves edges from state to state as evidence comes.

See `health` for what counts and why. Each edge has one time at which it is looked at again
(`wake_s`); a heartbeat does not touch it, so heartbeats cost the same in every fleet.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Final

from nearcast.machine import EffectQueue
from origin.fleet.contacts import Contacts
from origin.fleet.events import EdgeStateChanged, Effect, ProbeAnswered, State
from origin.fleet.evidence import Witnesses
from origin.fleet.health import WITNESS_S, Verdict, judge
from origin.fleet.observers import Observers
from origin.fleet.probing import Probes
from origin.fleet.watched_edge import Claim, WatchedEdge

CLAIM_S: Final = 12.0
"""Observers repeat their claims every 5 s."""
CLEAR_S: Final = 3.0
START_GRACE_S: Final = 10.0
"""After the origin's start, enrolment or maintenance edges have so long to be heard."""
LOST_GRACE_S: Final = 30.0
"""Edges heard before the origin's start, but not lately, have so long."""
TRIAL_S: Final = 5.0
TRIAL_S_MAX: Final = 160.0
DEATHS_S: Final = 600.0
PLAYER_ERRORS_MIN: Final = 5
PLAYER_ERRORS_S: Final = 10.0
PLAYER_PROBE_S: Final = 3.0
"""Who invents errors makes this origin probe no oftener."""


class Judging:
    """The states of all edges. The driver's probes are asked for through `effects`."""

    def __init__(
        self,
        edges: Mapping[str, WatchedEdge],
        observers: Observers,
        effects: EffectQueue[Effect],
    ) -> None:
        self._edges = edges
        self._observers = observers
        self._effects = effects
        self._contacts = Contacts()
        self._probes = Probes(edges, effects)
        self.witnesses = Witnesses(edges, observers, self._contacts)
        self._wakes: list[tuple[float, str]] = []

    def deadline_s(self) -> float | None:
        return self._wakes[0][0] if self._wakes else None

    def advance(self, now_s: float) -> None:
        while self._wakes and self._wakes[0][0] <= now_s:
            wake_s, name = heapq.heappop(self._wakes)
            edge = self._edges.get(name)
            if edge is not None and edge.wake_s == wake_s:
                edge.wake_s = None
                self.review(edge, now_s)

    # What happens to an edge.

    def joined(self, edge: WatchedEdge, now_s: float) -> None:
        """It is new here, or comes out of maintenance."""
        edge.joined_s = now_s
        edge.grace_s = now_s + START_GRACE_S
        edge.questioned_s = edge.clear_since_s = edge.lost_s = None
        edge.claims.clear()
        edge.probe_failures = 0
        edge.was_refused = edge.is_another_there = False
        self.review(edge, now_s)

    def left(self, edge: WatchedEdge, now_s: float) -> None:
        """It is gone, revoked or in maintenance: nobody waits for it."""
        self._contacts.forget(edge.edge)
        self._probes.end(edge, now_s)
        edge.wake_s = None

    def heard(self, edge: WatchedEdge, heard_s: float, now_s: float) -> None:
        """A heartbeat of it came, here or at another origin. It is in `edge` already."""
        self._contacts.heard(edge.edge, now_s)
        if edge.lost_s is not None and heard_s >= edge.lost_s:
            edge.lost_s = None
        if edge.state == "alive" and edge.questioned_s is None:
            return
        if edge.state == "unknown":
            edge.claims.clear()  # from before it was started
            self._become(edge, "alive", "heard", now_s)
            self._question(edge, now_s)  # can it be reached?
        elif edge.state == "dead" and (edge.probed_s is None or now_s - edge.probed_s > 1.0):
            edge.questioned_s = None
            self._question(edge, now_s)  # perhaps it is back
        self.review(edge, now_s)

    def spoke(self, edge: WatchedEdge, now_s: float) -> None:
        """It said something else than a heartbeat: it lives, for what its silence would say."""
        self._contacts.heard(edge.edge, now_s)

    def connection_lost(self, edge: WatchedEdge, now_s: float) -> None:
        edge.lost_s = now_s
        self._question(edge, now_s)
        self.review(edge, now_s)

    def claimed(self, edge: WatchedEdge, observer: str, is_down: bool, at_s: float) -> None:
        """`observer`, which is asked to look at it, says so."""
        before = edge.claims.get(observer)
        if before is not None and before.at_s > at_s:
            return
        is_same = before is not None and before.is_down == is_down
        since_s = before.since_s if is_same and before is not None else at_s
        edge.claims[observer] = Claim(is_down, at_s, since_s)
        if len(edge.claims) > 2 * len(self._observers.of(edge.edge)):
            kept = self._observers.of(edge.edge)
            for name in [name for name in edge.claims if name not in kept]:
                del edge.claims[name]

    def claims_changed(self, edge: WatchedEdge, now_s: float) -> None:
        if any(claim.is_down for claim in edge.claims.values()):
            self._question(edge, now_s)
        self.review(edge, now_s)

    def players_failed(self, edge: WatchedEdge, count: int, now_s: float) -> None:
        if now_s - edge.player_errors_s > PLAYER_ERRORS_S:
            edge.player_errors, edge.player_errors_s = 0, now_s
        edge.player_errors += count
        last_s = edge.player_probe_s
        is_due = last_s is None or now_s - last_s >= PLAYER_PROBE_S
        if edge.player_errors >= PLAYER_ERRORS_MIN and is_due:
            edge.player_errors, edge.player_probe_s = 0, now_s
            self._question(edge, now_s)
            self.review(edge, now_s)

    def probed(self, edge: WatchedEdge, answer: ProbeAnswered, now_s: float) -> None:
        started_s = edge.probe_started_s
        if started_s is None:
            return  # it was given up, or belongs to another life of the edge
        self._probes.end(edge, now_s)
        edge.was_refused = answer.outcome == "refused"
        edge.is_another_there = answer.outcome == "stranger"
        if answer.outcome == "ok":
            edge.probe_failures = 0
            edge.probe_ok_s, edge.answered_s = started_s, now_s
            edge.probe_rtt_s = answer.rtt_s
            self._contacts.heard(edge.edge, now_s)
            for observer, claim in edge.claims.items():
                if claim.is_down and observer in self._edges:
                    self._later(self._edges[observer], now_s)
        else:
            edge.probe_failures += 1
            if edge.is_another_there:
                edge.answered_s = now_s  # there is a way to that URL: what fails there counts
            if edge.was_refused:
                self._contacts.heard(edge.edge, now_s)
            if edge.questioned_s is None and self.witnesses.is_reachable(edge, now_s):
                edge.questioned_s = now_s
        self.review(edge, now_s)

    # Judgement.

    def review(self, edge: WatchedEdge, now_s: float) -> None:
        """Weigh what is known of it now, and say when to look again."""
        if edge.record.revoked or edge.record.duty == "maintenance":
            return
        if edge.state == "unknown":
            self._review_unknown(edge, now_s)
        else:
            self._drop_old_claims(edge, now_s)
            if self.witnesses.is_quiet(edge, now_s):
                self._question(edge, now_s, is_news=False)
            every_s = self.witnesses.look_every_s(edge, now_s)
            self._probes.start_if_due(edge, every_s, now_s)  # before the answer to it may be clear
            self._decide(edge, judge(*self.witnesses.weigh(edge, now_s)), now_s)
        self._rearm(edge, now_s)

    def _review_unknown(self, edge: WatchedEdge, now_s: float) -> None:
        was_heard = edge.heartbeat_s is not None
        if was_heard and now_s > edge.joined_s + LOST_GRACE_S:
            self._become(edge, "dead", "not heard since before this origin started", now_s)

    def _decide(self, edge: WatchedEdge, verdict: Verdict, now_s: float) -> None:
        if edge.state == "dead":
            if not verdict.is_dead and self._is_back(edge, now_s):
                edge.trial_until_s = now_s + self._trial_s(edge, now_s)
                edge.clear_since_s = None
                self._become(edge, "suspect", "came back, on trial", now_s)
        elif verdict.is_dead:
            edge.deaths_s = [at_s for at_s in edge.deaths_s if now_s - at_s < DEATHS_S][-8:]
            edge.deaths_s.append(now_s)
            edge.trial_until_s = None
            self._contacts.forget(edge.edge)
            self._become(edge, "dead", verdict.reason, now_s)
        elif verdict.is_suspect:
            edge.clear_since_s = None
            if edge.state == "alive":
                self._become(edge, "suspect", verdict.reason, now_s)
            elif edge.trial_until_s is None and verdict.reason:
                edge.reason = verdict.reason
        else:
            self._clear(edge, verdict, now_s)

    def _clear(self, edge: WatchedEdge, verdict: Verdict, now_s: float) -> None:
        if edge.state == "suspect":
            if edge.clear_since_s is None and verdict.up > 0:
                edge.clear_since_s = now_s
            is_clear = edge.clear_since_s is not None and now_s - edge.clear_since_s >= CLEAR_S
            is_tried = edge.trial_until_s is None or now_s >= edge.trial_until_s
            if is_clear and is_tried:
                edge.trial_until_s = edge.clear_since_s = None
                self._become(edge, "alive", "answers again", now_s)
        if edge.state == "alive" and verdict.down == 0 and verdict.up > 0:
            edge.questioned_s = None

    def _is_back(self, edge: WatchedEdge, now_s: float) -> bool:
        """It was heard since it died, and answered where the origin can reach it."""
        was_answered = edge.probe_ok_s is not None and edge.probe_ok_s >= edge.changed_s
        if self.witnesses.is_blind(edge, now_s):
            return was_answered
        if edge.heartbeat_s is None or edge.heartbeat_s < edge.changed_s or edge.lost_s is not None:
            return False
        return was_answered or not self.witnesses.is_reachable(edge, now_s)

    def _trial_s(self, edge: WatchedEdge, now_s: float) -> float:
        deaths = sum(1 for at_s in edge.deaths_s if now_s - at_s < DEATHS_S)
        return min(TRIAL_S * 2.0 ** max(0, deaths - 1), TRIAL_S_MAX)

    def _become(self, edge: WatchedEdge, state: State, reason: str, now_s: float) -> None:
        before, edge.state = edge.state, state
        edge.reason, edge.changed_s = reason, now_s
        self._effects.emit(
            EdgeStateChanged(edge=edge.edge, before=before, after=state, reason=reason)
        )

    def _drop_old_claims(self, edge: WatchedEdge, now_s: float) -> None:
        old = [name for name, claim in edge.claims.items() if now_s - claim.at_s >= CLAIM_S]
        for name in old:
            if edge.claims.pop(name).is_down and name in self._edges:
                self._later(self._edges[name], now_s)

    def _question(self, edge: WatchedEdge, now_s: float, *, is_news: bool = True) -> None:
        """`is_news`: a probe that began before it does not answer it."""
        if is_news or edge.questioned_s is None:
            edge.urgent_s = now_s
        if edge.questioned_s is None:
            edge.questioned_s = now_s

    # Times.

    def _later(self, edge: WatchedEdge, at_s: float) -> None:
        """Look at it then, at the latest."""
        if edge.wake_s is None or at_s < edge.wake_s:
            edge.wake_s = at_s
            heapq.heappush(self._wakes, (at_s, edge.edge))

    def _rearm(self, edge: WatchedEdge, now_s: float) -> None:
        times: list[float] = []
        probe_s = self._probes.next_s(edge, self.witnesses.look_every_s(edge, now_s))
        if probe_s is not None:
            times.append(probe_s)
        if edge.state == "unknown":
            times.append(edge.joined_s + LOST_GRACE_S)
        else:
            heard_s = now_s - self.witnesses.silence_s(edge, now_s)
            times += (
                heard_s + self.witnesses.overdue_s(edge),
                heard_s + self.witnesses.silent_long_s(edge),
            )
            times += (claim.at_s + CLAIM_S for claim in edge.claims.values())
            blind_s = self.witnesses.blind_from_s(edge)
            if blind_s is not None:
                times.append(blind_s)
        if edge.questioned_s is not None:
            times.append(edge.questioned_s + WITNESS_S)
        if edge.clear_since_s is not None:
            times.append(edge.clear_since_s + CLEAR_S)
        if edge.trial_until_s is not None:
            times.append(edge.trial_until_s)
        ahead = [at_s for at_s in times if at_s > now_s]
        if ahead:
            # A hair later: what is due then must be past its limit, not at it.
            self._later(edge, min(ahead) + 1e-3)
