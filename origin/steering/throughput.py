"""What clients of a network measured at edges: which edges are clearly slower for it than others.

Every question of a player says how fast the edge was where it was sent. The latest of them are
kept by network (an IPv4 /24, an IPv6 /48) and edge, one of each client (an IPv4 address, an IPv6
/64, whatever it plays), for ten minutes. An edge is slower for a network when three clients or more
have a median that is clearly below the best other edge's, and below what a player can make use of:
a last mile that is slow to all edges alike tells none of them apart, and an edge that nobody
measured is neither slow nor fast. So an edge that was passed over is tried again when what was
measured there is forgotten.

What is kept is of this origin alone and may be lost: another one measures anew. All of it is the
word of clients: three of one network that lie together can make an edge unpopular there, and its
clients then go to one just as near. One alone cannot, whatever it asks and how often.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from statistics import median
from typing import Final

import msgspec

KEPT_S: Final = 600.0
CLIENTS_MIN: Final = 3
CLIENTS_MAX: Final = 9
"""Of a network at one edge: those that spoke last."""
EDGES_MAX: Final = 8
"""Of a network: those measured last."""
NETWORKS_MAX: Final = 2_000
"""Those that asked last: with all that is kept of them some 40 MB."""
CLEARLY: Final = 1.5
ENOUGH_KBPS: Final = 8_000.0
"""Carries 1080p with room: an edge that gives more is not slow to anybody."""
_NETWORK_BITS: Final = {4: 24, 6: 48}
_CLIENT_BITS: Final = {4: 32, 6: 64}
"""One host of IPv6 may speak from any address of its /64."""


class _Measured(msgspec.Struct):
    at_s: float
    kbps: float


_Edges = OrderedDict[str, OrderedDict[int, _Measured]]


class NetworkThroughput:
    def __init__(self) -> None:
        self._networks: OrderedDict[int, _Edges] = OrderedDict()

    def measured(self, client: str, edge: str, kbps: float, now_s: float) -> None:
        """A client of this address has this throughput at `edge`: in place of what it said of
        that edge before."""
        place = _place(client)
        if place is None:
            return
        network, number = place
        edges = self._networks.setdefault(network, OrderedDict())
        self._networks.move_to_end(network)
        clients = edges.setdefault(edge, OrderedDict())
        edges.move_to_end(edge)
        clients[number] = _Measured(now_s, kbps)
        clients.move_to_end(number)
        for kept, most in (
            (clients, CLIENTS_MAX),
            (edges, EDGES_MAX),
            (self._networks, NETWORKS_MAX),
        ):
            while len(kept) > most:
                kept.popitem(last=False)

    def slower(self, client: str, now_s: float) -> frozenset[str]:
        """The edges that are clearly slower than another for the network of this address."""
        place = _place(client)
        edges = None if place is None else self._networks.get(place[0])
        if not edges or len(edges) < 2:
            return frozenset()
        kbps: dict[str, float] = {}
        for edge, clients in edges.items():
            fresh = [each.kbps for each in clients.values() if now_s - each.at_s < KEPT_S]
            if len(fresh) >= CLIENTS_MIN:
                kbps[edge] = median(fresh)
        least = min(max(kbps.values(), default=0.0) / CLEARLY, ENOUGH_KBPS)
        return frozenset(edge for edge, known in kbps.items() if known < least)


def _place(client: str) -> tuple[int, int] | None:
    """Numbers for the network of an address and for the client there; None for what is none."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    version, width = address.version, address.max_prefixlen
    network = int(address) >> (width - _NETWORK_BITS[version])
    return network << 3 | version, int(address) >> (width - _CLIENT_BITS[version])
