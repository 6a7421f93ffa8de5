"""Hosts, ports and sites, as people write where something listens or where it leads."""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

from nearcast.errors import ConfigError, InputError

PORT_MAX: Final = 65_535
EVERY_ADDRESS: Final = "0.0.0.0"
LOOPBACK: Final = "127.0.0.1"


def parse_address(text: str, what: str, *, host_default: str = EVERY_ADDRESS) -> tuple[str, int]:
    """Host and port of `127.0.0.1:8080`, `[::1]:8080` or `:8080` (`host_default`).

    Raises ConfigError that begins with `what`: the option or setting it came from.
    """
    host, colon, port = text.rpartition(":")
    # [0-9], not isdigit: that also takes superscripts, which int() does not.
    if not colon or not re.fullmatch("[0-9]{1,5}", port) or int(port) > PORT_MAX:
        raise ConfigError(f"{what} {text!r}: write it as HOST:PORT, for example 127.0.0.1:8080")
    return host.removeprefix("[").removesuffix("]") or host_default, int(port)


def is_loopback(host: str | None) -> bool:
    """Whether an address, as sockets give it or people write it, is this machine's own."""
    try:
        return host is not None and ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


def is_host(text: str) -> bool:
    """Whether it can be the name or the address of a host; IPv6 without brackets."""
    if ":" in text:
        try:
            ipaddress.IPv6Address(text.partition("%")[0])
        except ValueError:
            return False
        return True
    return re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?", text) is not None


def network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """The block that `192.0.2.0/24` is, or one address. Raises InputError, also where bits are set
    that the prefix leaves open: a slip of the pen moves clients elsewhere."""
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise InputError(f"network {text[:100]!r}: {error}") from error


def is_site(url: str, *schemes: str) -> bool:
    """Whether a URL is scheme, host and perhaps port, and nothing more."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    is_bare = url == f"{parts.scheme}://{parts.netloc}" and "@" not in parts.netloc
    return is_bare and parts.scheme in schemes and port != 0 and is_host(host)


def place_of(url: str) -> tuple[str, int]:
    """Host and port that the URL of a site leads to, the same for each way to write them. What is
    no such URL stands for itself."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return url, 0
    try:
        host = ipaddress.ip_address(host).compressed
    except ValueError:
        host = host.removesuffix(".")
    return host, port if port is not None else {"http": 80, "https": 443}.get(parts.scheme, 0)
