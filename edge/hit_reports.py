"""What the hit path has served by itself, told in batches.

A hit is a use of its object, and of a session where a viewer asked. What another edge takes is
neither a viewer's use nor anybody's demand here.
"""

from __future__ import annotations

from edge.events import HitsServed
from edge.foresight import Foresight
from edge.peers import ONLY_IF_CACHED
from edge.serving import Serving
from edge.status import Counters


class HitReports:
    """Counts hits, and passes on what they say."""

    def __init__(
        self, *, serving: Serving, foresight: Foresight, counters: Counters, is_in_fleet: bool
    ) -> None:
        self._ledger = serving.ledger
        self._reader = serving.reader
        self._touch = serving.residents.touch
        self._foresight = foresight
        self._counters = counters
        self._is_in_fleet = is_in_fleet

    def take(self, event: HitsServed) -> None:
        touch, observe = self._touch, self._foresight.observe
        is_recorded = self._ledger.is_recorded
        telemetry = self._foresight.telemetry
        tell = telemetry.sent if telemetry.is_on else None
        sent_bytes = peer_count = 0
        for hit in event.hits:
            if self._is_in_fleet and ONLY_IF_CACHED in hit.headers:
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
