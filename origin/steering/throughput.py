"""What clients of a network measured at edges: which edges are clearly slower for it than others.

Every question of a player says how fast the edge was where it was sent. The latest of them are
kept by network (an IPv4 /24, an IPv6 /48) and edge, one of each stay, for ten minutes. An edge is
slower for a network when three stays or more have a median that is clearly below the best other
edge's, and below what a player can make use of: a last mile that is slow to all edges alike tells
none of them apart, and an edge that nobody measured is neither slow nor fast. So an edge that was
passed over is tried again when what was measured there is forgotten.

What is kept is of this origin alone and may be lost: another one measures anew. A client that lies
can make an edge unpopular with its own network, whose clients then go to one just as near.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from statistics import median
from typing import Final

import msgspec

KEPT_S: Final = 600.0
STAYS_MIN: Final = 3
STAYS_MAX: Final = 9
"""Of a network at one edge: the newest."""
EDGES_MAX: Final = 8
"""Of a network: those measured last."""
NETWORKS_MAX: Final = 2_000
"""Those that asked last: with all of their stays some 40 MB."""
CLEARLY: Final = 1.5
ENOUGH_KBPS: Final = 8_000.0
"""Carries 1080p with room: an edge that gives more is not slow to anybody."""
_BITS: Final = {4: 24, 6: 48}


class _Stay(msgspec.Struct):
    at_s: float
    kbps: float


_Edges = OrderedDict[str, OrderedDict[int, _Stay]]


class NetworkThroughput:
    def __init__(self) -> None:
        self._networks: OrderedDict[int, _Edges] = OrderedDict()

    def measured(self, client: str, edge: str, stay: int, kbps: float, now_s: float) -> None:
        """A client of this address has this throughput at `edge`. `stay` tells it from others, and
        from itself at another time: a later word of the same stay replaces the one before."""
        network = _network(client)
        if network is None:
            return
        edges = self._networks.setdefault(network, OrderedDict())
        self._networks.move_to_end(network)
        stays = edges.setdefault(edge, OrderedDict())
        edges.move_to_end(edge)
        stays[stay] = _Stay(now_s, kbps)
        stays.move_to_end(stay)
        for kept, most in ((stays, STAYS_MAX), (edges, EDGES_MAX), (self._networks, NETWORKS_MAX)):
            while len(kept) > most:
                kept.popitem(last=False)

    def slower(self, client: str, now_s: float) -> frozenset[str]:
        """The edges that are clearly slower than another for the network of this address."""
        network = _network(client)
        edges = None if network is None else self._networks.get(network)
        if not edges or len(edges) < 2:
            return frozenset()
        kbps: dict[str, float] = {}
        for edge, stays in edges.items():
            fresh = [each.kbps for each in stays.values() if now_s - each.at_s < KEPT_S]
            if len(fresh) >= STAYS_MIN:
                kbps[edge] = median(fresh)
        least = min(max(kbps.values(), default=0.0) / CLEARLY, ENOUGH_KBPS)
        return frozenset(edge for edge, known in kbps.items() if known < least)


def _network(client: str) -> int | None:
    """A number for the network of an address; None for what is none."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    bits = int(address) >> (address.max_prefixlen - _BITS[address.version])
    return bits << 3 | address.version
