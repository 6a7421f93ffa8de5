"""Where the bytes of a service come from: all that a driver needs to connect, and no more.

The services' upstreams are an allow-list. A driver connects to one of these targets or not at all,
whatever URL it was handed and wherever that came from (a request, a manifest, a catalogue), and
follows no redirect.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

import msgspec

from edge.config import ServiceConfig, TlsRules, TokenRules

_PORTS = {"http": 80, "https": 443}


class UpstreamTarget(msgspec.Struct, frozen=True, kw_only=True):
    """One upstream of a service. `host` is without brackets; `prefix` goes before each path and
    has no slash at its end."""

    scheme: str
    host: str
    port: int
    authority: str
    """As in its URL: what its Host field says."""
    prefix: str
    allow_private: bool
    """Whether a private, loopback or link-local address may be connected to."""
    tls: TlsRules
    token: TokenRules

    @classmethod
    def of(cls, upstream: str, config: ServiceConfig) -> UpstreamTarget:
        parts = urlsplit(upstream)
        assert parts.hostname is not None
        host = parts.hostname
        return cls(
            scheme=parts.scheme,
            host=host,
            port=parts.port or _PORTS[parts.scheme],
            authority=parts.netloc,
            prefix=parts.path.rstrip("/"),
            allow_private=config.allow_private or is_meant_literally(host),
            tls=config.tls,
            token=config.token,
        )

    def may_connect(self, address: str) -> bool:
        """Whether this address, as resolving the host gave it, may be connected to."""
        return self.allow_private or is_public(address)


def edge_target(url: str, ca_file: str | None) -> UpstreamTarget:
    """Another edge as a signed plan names it. Edges of one site have private addresses; a plan says
    what is meant."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return UpstreamTarget(
        scheme=parts.scheme,
        host=host,
        port=parts.port or _PORTS[parts.scheme],
        authority=parts.netloc,
        prefix="",
        allow_private=True,
        tls=TlsRules(ca_file=ca_file),
        token=TokenRules(),
    )


class Destination(msgspec.Struct, frozen=True):
    """Where one URL is fetched: the request's target and Host at that upstream."""

    upstream: UpstreamTarget
    target: str
    host: str


def is_meant_literally(host: str) -> bool:
    """Whether the name of a host leaves nothing to look up: an address, or localhost."""
    return host == "localhost" or host.endswith(".localhost") or is_address(host)


def is_address(host: str) -> bool:
    """Whether it is no name."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def is_public(address: str) -> bool:
    """Whether an address is one of the Internet's, and not of this machine or network.

    IPv6 forms that carry an IPv4 address are judged by what they carry.
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        if inner is not None:
            ip = inner
    return ip.is_global and not ip.is_multicast


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
