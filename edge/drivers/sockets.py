"""Listening sockets, set up for sending media to clients that may be slow or gone."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
from typing import Final

from nearcast.address import parse_address
from nearcast.errors import ConfigError

UNSENT_BYTES: Final = 256 * 1024
"""What the kernel takes ahead of a slow client; without a limit it pins megabytes for each."""
_TCP_INFO: Final[int | None] = socket.TCP_INFO if sys.platform == "linux" else None
_ACKNOWLEDGED_AT: Final = 120
"""Where `tcpi_bytes_acked` lies in what Linux has given since 4.1; other systems differ."""


def listening_socket(text: str, option: str, *, reuse_port: bool = False) -> socket.socket:
    """Bound, not yet listening; the options are inherited by every connection. Raises
    ConfigError.

    `reuse_port`: another process may listen on the same port, if it says so too.
    There is no TCP_USER_TIMEOUT: Linux ends connections by it whose window is closed most of the
    time, though they go on. Whoever takes nothing is let go by the server (its `pace`).
    """
    host, port = parse_address(text, option)
    try:
        found = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_ADDRCONFIG
        ) or socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        end = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(f"{option} {text}: {error.strerror or error}") from error
    try:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):  # not on every system
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        end.bind(address)
        end.setblocking(False)
    except OSError as error:
        end.close()
        reason = (error.strerror or str(error)).lower()
        raise ConfigError(
            f"cannot listen on {host}:{port}: {reason}; choose another with {option} HOST:PORT"
        ) from error
    return end


def forget_unsent(end: socket.socket) -> None:
    """Let closing reset the connection: the kernel would else keep for minutes what it still has
    for a client that takes nothing."""
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def acknowledged_bytes(end: socket.socket) -> int | None:
    """What the other side's system has taken of all that was ever sent to it; None where this
    system does not tell."""
    if _TCP_INFO is None:
        return None
    try:
        info = end.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _ACKNOWLEDGED_AT + 8)
    except OSError:
        return None
    if len(info) < _ACKNOWLEDGED_AT + 8:
        return None
    (count,) = struct.unpack_from("=Q", info, _ACKNOWLEDGED_AT)
    return int(count)


def shown(end: socket.socket) -> str:
    """`host:port` as bound, for URLs."""
    host, port = end.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
