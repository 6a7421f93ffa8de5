"""Which edges are near a client: by its network, then by cluster, region, and at all.

An edge's networks say which clients are near it. The longest prefix that holds a client's address
wins; edges that say nothing of networks are for everybody, those that name others' come last.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearcast.fleet import EdgeProfile
from nearcast.hashing import keys_of

Nearness = Literal["network", "cluster", "wider network", "region", "anywhere", "far"]
NEARNESSES: Final[tuple[Nearness, ...]] = (
    "network",
    "cluster",
    "wider network",
    "region",
    "anywhere",
    "far",
)

KNOWN_MAX: Final = 10_000
"""Clients of the same networks have the same groups: so many are kept ready."""

_Prefix = tuple[int, int, int]  # version, length, the bits of the network


class Group(msgspec.Struct, frozen=True, eq=False):
    """Some edges, with what drawing among many of them needs."""

    names: tuple[str, ...]
    members: frozenset[str]
    keys: NDArray[np.uint64]  # (edge,)
    weights: NDArray[np.float64]  # (edge,): what each can send


class Networks:
    """An index over the edges' profiles, made anew when one of them changes."""

    def __init__(self) -> None:
        self._parsed: dict[str, tuple[EdgeProfile, tuple[_Prefix, ...]]] = {}
        self._by_prefix: dict[_Prefix, list[str]] = {}
        self._lengths: dict[int, list[int]] = {4: [], 6: []}
        self._profiles: dict[str, EdgeProfile] = {}
        self._clusters: dict[str, list[str]] = {}
        self._regions: dict[str, Group] = {}
        self._known: dict[tuple[_Prefix, ...], list[tuple[Nearness, Group]]] = {}
        self._anywhere = self._group(())
        self._far = self._group(())

    def rebuild(self, profiles: Mapping[str, EdgeProfile]) -> None:
        """O(edges and their networks); texts that are no networks are passed over."""
        self._profiles = dict(profiles)
        self._by_prefix = {}
        self._known = {}
        clusters: dict[str, list[str]] = {}
        regions: dict[str, list[str]] = {}
        parsed: dict[str, tuple[EdgeProfile, tuple[_Prefix, ...]]] = {}
        for name, profile in profiles.items():
            before = self._parsed.get(name)
            if before is None or before[0] != profile:
                before = (profile, tuple(_prefixes(profile.networks)))
            parsed[name] = before
            for prefix in before[1]:
                self._by_prefix.setdefault(prefix, []).append(name)
            if profile.cluster:
                clusters.setdefault(profile.cluster, []).append(name)
            if profile.region:
                regions.setdefault(profile.region, []).append(name)
        self._parsed, self._clusters = parsed, clusters
        for version in self._lengths:
            lengths = {length for found, length, _ in self._by_prefix if found == version}
            self._lengths[version] = sorted(lengths, reverse=True)
        self._regions = {region: self._group(names) for region, names in regions.items()}
        self._anywhere = self._group(name for name in profiles if not parsed[name][1])
        self._far = self._group(name for name in profiles if parsed[name][1])

    def groups(self, client: str) -> list[tuple[Nearness, Group]]:
        """All edges by nearness to a client's address, the nearest first. An edge may come again
        in a wider group. An address that is none has no network."""
        prefixes = self._matches(client)
        found = self._known.get(prefixes)
        if found is None:
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            found = self._known[prefixes] = self._groups(prefixes)
        return found

    def _groups(self, prefixes: tuple[_Prefix, ...]) -> list[tuple[Nearness, Group]]:
        found: list[tuple[Nearness, Group]] = []
        if prefixes:
            nearest, *wider = (self._by_prefix[prefix] for prefix in prefixes)
            found.append(("network", self._group(nearest)))
            mates = {self._profiles[name].cluster for name in nearest} - {""}
            if mates:
                names = [name for mate in sorted(mates) for name in self._clusters[mate]]
                found.append(("cluster", self._group(names)))
            if wider:
                found.append(
                    ("wider network", self._group(name for names in wider for name in names))
                )
            around = {self._profiles[name].region for names in (nearest, *wider) for name in names}
            found += (("region", self._regions[region]) for region in sorted(around - {""}))
        found += (("anywhere", self._anywhere), ("far", self._far))
        return found

    def _matches(self, client: str) -> tuple[_Prefix, ...]:
        """The prefixes that hold the address and belong to an edge, the longest first."""
        try:
            address = ipaddress.ip_address(client)
        except ValueError:
            return ()
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        bits, width, version = int(address), address.max_prefixlen, address.version
        found = ((version, length, bits >> (width - length)) for length in self._lengths[version])
        return tuple(prefix for prefix in found if prefix in self._by_prefix)

    def _group(self, names: Iterable[str]) -> Group:
        unique = tuple(dict.fromkeys(names))
        return Group(
            names=unique,
            members=frozenset(unique),
            keys=keys_of(unique),
            weights=np.array([self._profiles[name].link_kbps for name in unique]),
        )


def _prefixes(texts: Iterable[str]) -> Iterable[_Prefix]:
    for text in texts:
        try:
            network = ipaddress.ip_network(text.strip(), strict=False)
        except ValueError:
            continue
        width = network.max_prefixlen
        bits = int(network.network_address) >> (width - network.prefixlen)
        yield network.version, network.prefixlen, bits
