"""The edges for one client and title, the best first.

In this order: may it be used (not dead, draining, in maintenance, revoked); is it well (before
those that are overloaded or cannot write, before those that are suspect); how near; is it clearly
slower than another for the client's network; does it hold the title; and among equals by weighted
rendezvous hashing (`rules` has the table). Edges that hold a title share its clients: the draw is
for client and title. Those that do not are drawn for the title alone, so that all who want it come
to the same edge, which fetches it once. Weights are what an edge can send, less as it fills up; a
load that changes moves only the clients of that edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from nearcast.hashing import draws, key_of
from origin.fleet import WatchedEdge
from origin.steering.networks import Group, Nearness
from origin.steering.rules import Candidate, Standing
from origin.steering.wish import Wish

LOAD_FULL: Final = 0.9
"""Of its link: beyond, new players go elsewhere, even farther away."""
LOAD_SHED: Final = 0.8
"""From here on some of an edge's players are moved, as many as bring it back to this."""
LOAD_WELCOME: Final = 0.6
_LOAD_STEPS: Final = ((0.6, 1.0), (0.75, 0.6), (LOAD_FULL, 0.3))
"""Up to that load, this weight. In steps, so that small changes of load move nobody."""
_LOAD_FACTOR_FULL: Final = 0.1
LOOKED_AT: Final = (16, 96, 1_000_000)
"""Of a large group those are looked at that draw highest for the title; more if too few of them are
well, and all only where none of those may be used."""


def unusable(edge: WatchedEdge, scheme: str) -> str:
    """Why no player may be sent there; empty: they may."""
    if edge.record.revoked:
        return "revoked"
    if edge.record.duty == "maintenance":
        return "in maintenance"
    if edge.is_draining:
        return "draining"
    if edge.state == "dead":
        return "dead"
    if edge.state == "unknown" and edge.probe_ok_s is None:
        return "not heard yet"
    if scheme and not edge.record.profile.url.startswith(f"{scheme}://"):
        return f"not reached by {scheme}"
    return ""


def standing_of(edge: WatchedEdge) -> Standing:
    if edge.state != "alive":
        return "suspect"
    last = edge.heartbeat
    is_failing = last is not None and last.storage.is_failing
    return "strained" if is_failing or edge.load_share >= LOAD_FULL else "good"


def candidates(edges: Sequence[WatchedEdge], nearness: Nearness, wish: Wish) -> list[Candidate]:
    """They as candidates, in the order they came."""
    if not edges:
        return []
    holds = [edge.holds(wish.title_crc) for edge in edges]
    shared, alone = wish.title_key ^ wish.client_key, wish.title_key
    words = [
        (shared if is_held else alone) ^ edge.key
        for edge, is_held in zip(edges, holds, strict=True)
    ]
    drawn = draws(
        np.array(words, dtype=np.uint64), np.array([_weight_kbps(edge) for edge in edges])
    )
    return [
        Candidate(
            edge=edge,
            nearness=nearness,
            standing=standing_of(edge),
            holds=is_held,
            draw=draw,
        )
        for edge, is_held, draw in zip(edges, holds, drawn.tolist(), strict=True)
    ]


def _weight_kbps(edge: WatchedEdge) -> float:
    load = edge.load_share
    factor = next((factor for limit, factor in _LOAD_STEPS if load < limit), _LOAD_FACTOR_FULL)
    return edge.record.profile.link_kbps * factor


def looked_at(group: Group, wish: Wish, count: int) -> tuple[str, ...]:
    """So many edges of a group, those that draw highest for the title; all of a small one."""
    if len(group.names) <= count:
        return group.names
    drawn = draws(group.keys ^ np.uint64(wish.title_key), group.weights)
    best = np.argpartition(-drawn, count)[:count]
    return tuple(group.names[index] for index in np.sort(best))


def is_shed(edge: WatchedEdge, wish: Wish) -> bool:
    """Whether this client is one of those that a full edge lets go."""
    load = edge.load_share
    return load > LOAD_SHED and _lot(edge, wish) < (load - LOAD_SHED) / load


def is_welcome(edge: WatchedEdge, wish: Wish) -> bool:
    """Whether this client is one of those that an edge with room calls back from farther away. The
    gap to LOAD_SHED keeps clients from going to and fro."""
    return _lot(edge, wish) < (LOAD_WELCOME - edge.load_share) / LOAD_WELCOME


def _lot(edge: WatchedEdge, wish: Wish) -> float:
    """In [0, 1), fixed for an edge, a client and a title."""
    return (key_of(f"lot/{wish.client_key}/{wish.title_key}/{edge.edge}") >> 11) / 2.0**53
