"""How many connections there may be, in all and from one address."""

from __future__ import annotations

import ipaddress

from edge.config.server import ServerConfig

IPV6_PREFIX_BITS = 64
"""What one subscriber usually has; counting single addresses would count nothing."""


class ConnectionLimits:
    """Counts connections. `enter` when one is made, `leave` once for each that was let in."""

    def __init__(self, settings: ServerConfig) -> None:
        self._connections_max = settings.connections_max
        self._per_address_max = settings.connections_per_address_max
        self._unlimited = tuple(ipaddress.ip_network(one) for one in settings.unlimited_addresses)
        self._counts: dict[str, int] = {}
        self.count = 0
        self.refused_count = 0

    def reconfigure(self, settings: ServerConfig) -> None:
        """Other numbers; which networks count stays, since those who came are counted."""
        self._connections_max = settings.connections_max
        self._per_address_max = settings.connections_per_address_max

    def enter(self, address: str) -> bool:
        """Whether there is room for one more from there; "" is no address but a local socket."""
        group = self._group(address)
        if self.count >= self._connections_max or (
            group and self._counts.get(group, 0) >= self._per_address_max
        ):
            self.refused_count += 1
            return False
        self.count += 1
        if group:
            self._counts[group] = self._counts.get(group, 0) + 1
        return True

    def leave(self, address: str) -> None:
        self.count -= 1
        group = self._group(address)
        if group:
            left = self._counts[group] - 1
            if left:
                self._counts[group] = left
            else:
                del self._counts[group]

    def _group(self, address: str) -> str:
        """What an address is counted as; "" for those that are not."""
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return ""
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        if any(parsed in network for network in self._unlimited):
            return ""
        if isinstance(parsed, ipaddress.IPv4Address):
            return str(parsed)
        return str(ipaddress.ip_network((parsed, IPV6_PREFIX_BITS), strict=False))
