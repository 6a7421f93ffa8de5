"""Whom a planned object is asked of: the edges that the plan names for its file, then the origin.

A plan names who should hold a file first. Such an edge may be filling itself: one that answers that
it does not have something is asked again later, until a share of the window is over; only then the
origin is. One that fails is left alone for a while, and its files are not kept waiting for it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Literal

from nearcast.placement import EdgePlan, PlannedFile

FAILURES: Final = 3
"""In a row, until a peer is left alone."""
REST_S: Final = 30.0
REST_S_MAX: Final = 600.0
ABSENT_S: Final = 30.0
"""After which a peer that did not have something is asked for it again."""
ABSENT_MAX: Final = 10_000
ORIGIN: Final = ""

Choice = Literal["ask", "wait"]


class _Peer:
    __slots__ = ("failures_in_a_row", "rest_s", "rest_until_s", "url")

    def __init__(self, url: str) -> None:
        self.url = url
        self.failures_in_a_row = 0
        self.rest_s = REST_S
        self.rest_until_s = 0.0


class Sources:
    """The peers of a plan, and how they do."""

    def __init__(self, *, is_peer_fill: bool) -> None:
        self._is_peer_fill = is_peer_fill
        self._peers: dict[str, _Peer] = {}  # by edge id
        self._failed: OrderedDict[tuple[str, str], float] = OrderedDict()
        """Peer and URL -> when to ask again: what it did not have, or gave damaged."""

    def follow(self, plan: EdgePlan | None) -> None:
        """These are the peers now; what is known of those that stay is kept."""
        peers = plan.peers if plan is not None else ()
        wanted = {one.edge: one.url.rstrip("/") for one in peers}
        self._peers = {
            edge: before
            if (before := self._peers.get(edge)) is not None and before.url == url
            else _Peer(url)
            for edge, url in wanted.items()
        }
        self._failed.clear()

    def choose(
        self, file: PlannedFile, url: str, now_s: float, *, is_patient: bool
    ) -> tuple[str, str] | None:
        """An edge's id and URL, both empty for the origin. None: wait for a peer that will have
        it, as long as `is_patient`."""
        is_awaited = False
        for edge in file.from_edges if self._is_peer_fill else ():
            peer = self._peers.get(edge)
            if peer is None or peer.rest_until_s > now_s:
                continue
            if self._failed.get((edge, url), now_s) > now_s:
                is_awaited = True
                continue
            return edge, peer.url
        return None if is_awaited and is_patient else (ORIGIN, ORIGIN)

    def gave(self, edge: str) -> None:
        """A whole and undamaged object."""
        peer = self._peers.get(edge)
        if peer is not None:
            peer.failures_in_a_row = 0
            peer.rest_s = REST_S

    def failed(self, edge: str, url: str, now_s: float, *, is_absent: bool) -> None:
        """It did not have this (`is_absent`), or did not answer as it should."""
        peer = self._peers.get(edge)
        if peer is None:
            return
        self._failed[edge, url] = now_s + ABSENT_S
        if len(self._failed) > ABSENT_MAX:
            self._failed.popitem(last=False)
        if is_absent:
            self.gave(edge)  # it answered
            return
        peer.failures_in_a_row += 1
        if peer.failures_in_a_row >= FAILURES:
            peer.failures_in_a_row = 0
            peer.rest_until_s = now_s + peer.rest_s
            peer.rest_s = min(peer.rest_s * 2, REST_S_MAX)
