"""Counts what one title brought, for its report."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from urllib.parse import urlsplit

from abr.buffer import Held
from abr.playback import Playback
from abr.qoe import qoe_linear, stall_penalty_of
from abr.report import EndReason, HostUse, SessionReport, SteeringReport
from abr.transfer import Transfer
from nearcast.media import TrackKind
from nearcast.units import kbps

HOST_COUNT_MAX = 16
"""So many hosts are told apart in a report."""


class Tally:
    """Fed with transfers as they end."""

    def __init__(self) -> None:
        self.response_count = 0
        self.edge_hit_count = 0
        self.received_bytes = 0
        self.hit_bytes = 0
        self.abandon_count = 0
        self.failure_count = 0
        self.retry_count = 0
        self.failover_count = 0
        self.skipped_count = 0
        self._hosts: dict[str, list[int]] = {}
        """By `host:port`: requests, and how many of them failed."""
        self._to_retry: dict[tuple[str, str], str] = {}
        """What failed and was not asked for again yet, and at which host."""
        self._speaks_of_cache = False
        self._first_hits: dict[TrackKind, bool] = {}

    def sent(self, transfer: Transfer) -> None:
        host = urlsplit(transfer.sent_url).netloc
        if host in self._hosts or len(self._hosts) < HOST_COUNT_MAX:
            self._hosts.setdefault(host, [0, 0])[0] += 1
        failed_at = self._to_retry.pop(_place(transfer), None)
        if failed_at is not None:
            self.retry_count += 1
            self.failover_count += host != failed_at

    def failed(self, transfer: Transfer) -> None:
        host = urlsplit(transfer.sent_url).netloc
        self.failure_count += 1
        if host in self._hosts:
            self._hosts[host][1] += 1
        self._to_retry[_place(transfer)] = host

    def add(self, transfer: Transfer, *, is_complete: bool) -> None:
        is_hit = bool(transfer.is_hit)
        self.received_bytes += transfer.received_bytes
        self.hit_bytes += transfer.received_bytes if is_hit else 0
        self._speaks_of_cache = self._speaks_of_cache or transfer.is_hit is not None
        if not is_complete:
            return
        self.response_count += 1
        self.edge_hit_count += is_hit
        if transfer.kind == "segment" and transfer.track is not None:
            self._first_hits.setdefault(transfer.track, is_hit)

    def started_from_edge(self) -> bool | None:
        if not self._speaks_of_cache or not self._first_hits:
            return None
        return all(self._first_hits.values())

    def report(
        self,
        playback: Playback,
        held: Sequence[Held],
        ladder_kbps: Sequence[float],
        *,
        url: str,
        session_id: str,
        is_next_episode: bool,
        ended: EndReason,
        detail: str,
        steering: SteeringReport | None,
    ) -> SessionReport:
        played = [each for each in held if each.start_s < playback.position_s]
        rates_kbps = [ladder_kbps[each.rung] for each in played]
        spans_s = [min(each.end_s, playback.position_s) - each.start_s for each in played]
        sent_kbps = [kbps(each.size_bytes, each.duration_s) for each in played]
        penalty = stall_penalty_of(ladder_kbps) if ladder_kbps else 0.0
        return SessionReport(
            url=url,
            session_id=session_id,
            is_next_episode=is_next_episode,
            startup_s=playback.startup_s if playback.has_started else None,
            played_s=playback.played_s,
            stalled_s=playback.stalled_s,
            stall_count=playback.stall_count,
            bitrate_kbps=_mean(sent_kbps, spans_s),
            switch_count=sum(a.rung != b.rung for a, b in itertools.pairwise(played)),
            qoe_linear=qoe_linear(rates_kbps, playback.stalled_s, penalty),
            segment_count=len(played),
            abandon_count=self.abandon_count,
            response_count=self.response_count,
            edge_hit_count=self.edge_hit_count,
            received_bytes=self.received_bytes,
            hit_bytes=self.hit_bytes,
            started_from_edge=self.started_from_edge(),
            failure_count=self.failure_count,
            retry_count=self.retry_count,
            failover_count=self.failover_count,
            skipped_count=self.skipped_count,
            skipped_s=playback.skipped_s,
            hosts=tuple(
                HostUse(host=host, request_count=sent, failure_count=failed)
                for host, (sent, failed) in self._hosts.items()
            ),
            ladder_kbps=tuple(ladder_kbps),
            ended=ended,
            detail=detail,
            steering=steering,
        )


def _place(transfer: Transfer) -> tuple[str, str]:
    """What a retry is a retry of: the same text, or the same track's segment or init, at whichever
    rung."""
    return transfer.kind, transfer.track or transfer.url


def _mean(values: Sequence[float], weights: Sequence[float]) -> float | None:
    total = sum(weights)
    if total <= 0:
        return None
    return sum(v * w for v, w in zip(values, weights, strict=True)) / total
