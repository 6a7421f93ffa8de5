"""Whose address a request came from, behind proxies that are trusted to say so."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final

HOPS_MAX: Final = 16

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def client_address(peer: str, forwarded: str, trusted: Sequence[Network]) -> str:
    """The last address that no trusted proxy vouches for further.

    `forwarded` is X-Forwarded-For as it came: each proxy appends who asked it, so what stands left
    of the last untrusted address may be anybody's invention.
    """
    address = peer
    if not trusted or not forwarded:
        return address
    for hop in reversed(forwarded.split(",")[-HOPS_MAX:]):
        if not _is_in(address, trusted):
            break
        text = hop.strip()
        try:
            ipaddress.ip_address(text)
        except ValueError:
            break
        address = text
    return address


def _is_in(address: str, trusted: Sequence[Network]) -> bool:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return any((mapped or parsed) in network for network in trusted)
