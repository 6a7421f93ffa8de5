"""A TCP proxy whose two directions are shaped links.

Loopback accepts, carries and acknowledges at once, so the proxy supplies what a real path would:

- the bytes of each direction go through a `simulation.link.Link` shared by all connections;
- a client's first bytes wait one round trip, which is what its handshake would have taken;
- socket buffers are small, so that what the link holds back piles up at its sender (which then
  notices) and not in the kernel between us. They come with a small segment size: with the 64 KB
  segments of loopback a small window stalls on the sender's silly-window rule.

Ends travel behind the bytes: a half-close arrives as a half-close, a reset as a reset. Memory per
connection is bounded by the link's queue, what is in flight, and the write buffer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from typing import cast

import msgspec

from nearcast.address import LOOPBACK, parse_address
from nearcast.clock import Clock
from nearcast.errors import InputError
from simulation.drivers.streams import Direction, Socket, Stream
from simulation.link import LinkCounters
from simulation.link_events import EndDelivered
from simulation.link_shape import ProxySpec

logger = logging.getLogger(__name__)

SOCKET_BUFFER_BYTES = 64 * 1024  # the kernel doubles it for its own needs
SEGMENT_BYTES = 1448
CONNECTIONS_MAX = 2048
CONNECT_TIMEOUT_S = 30.0


class ProxyFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What went through one link."""

    name: str
    listen: str
    to: str
    connection_count: int
    refused_count: int  # upstream took no connection, or we had too many
    reset_count: int  # ended by a reset of either side
    up: LinkCounters
    down: LinkCounters


class _Connection:
    """A client's connection and ours to upstream, joined by an up and a down stream."""

    def __init__(self, proxy: ShapedProxy, flow_id: int, client: Socket) -> None:
        self.client = client
        self.server = Socket()
        self.is_up = False  # upstream has answered, and the handshake's round trip is over
        self._proxy = proxy
        self._flow_id = flow_id
        self.up, self.down = (
            Stream(
                direction,
                flow_id,
                source,
                sink,
                on_end=self._end_delivered,
                on_progress=self._progressed,
            )
            for direction, source, sink in (
                (proxy.up, client, self.server),
                (proxy.down, self.server, client),
            )
        )
        self.up.hold()
        client.outgoing, client.incoming = self.up, self.down
        self.server.outgoing, self.server.incoming = self.down, self.up
        client.on_lost = self.server.on_lost = self._lost
        self._late_end: EndDelivered | None = None

    async def connect(self, address: tuple[str, int]) -> None:
        """Reach upstream while the handshake's round trip passes."""
        loop = asyncio.get_running_loop()
        ready_s = loop.time() + self._proxy.spec.round_trip_s
        end = _upstream_socket(address)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await loop.sock_connect(end, address)
                await loop.create_connection(lambda: self.server, sock=end)
        except OSError as error:  # TimeoutError included
            end.close()
            logger.info("shape.refused to=%s cause=%s", self._proxy.spec.to, error)
            self._proxy.refused_count += 1
            self._abandon()
            return
        if self.client.is_lost:
            self.server.reset()
        loop.call_at(ready_s, self._ready)

    def close_if_over(self) -> None:
        is_idle = self.up.held_bytes == self.down.held_bytes == 0
        if (self.up.is_over and self.down.is_over) or (self._proxy.is_draining and is_idle):
            self.client.close()
            self.server.close()

    def abort(self) -> None:
        self.client.reset()
        self.server.reset()

    def _ready(self) -> None:
        if self.client.is_lost or self.server.is_lost:
            return
        self.is_up = True
        self.up.release()
        if self._late_end is not None:
            self._end_delivered(self.server, self._late_end)

    def _end_delivered(self, sink: Socket, end: EndDelivered) -> None:
        if sink is self.server and not self.is_up:
            self._late_end = end
        elif end.is_reset:
            sink.reset()
        elif sink.transport is not None and not sink.is_lost:
            sink.transport.write_eof()
        self.close_if_over()

    def _progressed(self) -> None:
        if self._proxy.is_draining:
            self.close_if_over()

    def _abandon(self) -> None:
        self.up.drop()
        self.down.drop()
        self.client.reset()
        self.server.is_lost = True
        self._forget_if_lost()

    def _lost(self, end: Socket, error: Exception | None) -> None:
        """One side is gone; the other learns it one delay later, behind what was sent before."""
        incoming, outgoing = end.incoming, end.outgoing
        assert incoming is not None
        assert outgoing is not None
        if error is not None:
            self._proxy.reset_count += 1
        incoming.drop()
        other = self.server if end is self.client else self.client
        if outgoing.is_over or (end is self.client and not self.is_up):
            # Its end was passed on before, or there is nobody to pass it on to yet.
            outgoing.drop()
            other.reset() if error is not None else other.close()
        else:
            outgoing.end(is_reset=error is not None)
        self._forget_if_lost()

    def _forget_if_lost(self) -> None:
        if self.client.is_lost and self.server.is_lost:
            self.up.drop()
            self.down.drop()
            self._proxy.forget(self._flow_id)


class ShapedProxy:
    """Listens, connects each client to upstream through the two links, and counts."""

    def __init__(self, spec: ProxySpec, clock: Clock) -> None:
        self.spec = spec
        self.refused_count = 0
        self.reset_count = 0
        self.is_draining = False
        up, down = spec.build(start_s=clock.now_s())
        self.up = Direction(up, clock)
        self.down = Direction(down, clock)
        self._target = parse_address(spec.to, f"{spec.name}: to", host_default=LOOPBACK)
        self._listen = parse_address(spec.listen, f"{spec.name}: listen", host_default=LOOPBACK)
        self._server: asyncio.Server | None = None
        self._bound = self._listen
        self._connections: dict[int, _Connection] = {}
        self._connection_count = 0
        self._all_gone = asyncio.Event()

    @property
    def address(self) -> str:
        """Where it listens, `host:port`."""
        return f"{self._bound[0]}:{self._bound[1]}"

    async def start(self) -> None:
        """Bind. Raises InputError when the port is taken or the address cannot be resolved."""
        loop = asyncio.get_running_loop()
        try:
            self._target = await _resolve(self._target)
            listener = _listening_socket(await _resolve(self._listen))
        except OSError as error:
            raise InputError(
                f"{self.spec.name}: cannot listen on {self.spec.listen} for {self.spec.to}: "
                f"{error.strerror or error}"
            ) from error
        self._bound = listener.getsockname()[:2]
        self._server = await loop.create_server(lambda: Socket(self._accepted), sock=listener)

    async def drain(self, timeout_s: float) -> None:
        """Take no more clients; let what is on its way arrive, then close."""
        self.is_draining = True
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._connections.values()):
            connection.close_if_over()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self._connections:
                    self._all_gone.clear()
                    await self._all_gone.wait()
        for connection in tuple(self._connections.values()):
            connection.abort()
        await self.up.pump.close()
        await self.down.pump.close()

    def figures(self) -> ProxyFigures:
        return ProxyFigures(
            name=self.spec.name,
            listen=self.address,
            to=self.spec.to,
            connection_count=self._connection_count,
            refused_count=self.refused_count,
            reset_count=self.reset_count,
            up=self.up.link.counters(),
            down=self.down.link.counters(),
        )

    def forget(self, flow_id: int) -> None:
        self._connections.pop(flow_id, None)
        if not self._connections:
            self._all_gone.set()

    def _accepted(self, client: Socket) -> None:
        if self.is_draining or len(self._connections) >= CONNECTIONS_MAX:
            self.refused_count += 1
            client.reset()
            return
        self._connection_count += 1
        flow_id = self._connection_count
        connection = _Connection(self, flow_id, client)
        self._connections[flow_id] = connection
        self.up.pump.spawn(connection.connect(self._target), name=f"connect {flow_id}")


async def _resolve(address: tuple[str, int]) -> tuple[str, int]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(*address, type=socket.SOCK_STREAM)
    return cast("tuple[str, int]", found[0][4][:2])


def _tune(end: socket.socket) -> None:
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER_BYTES)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER_BYTES)
    if hasattr(socket, "TCP_MAXSEG"):
        with contextlib.suppress(OSError):  # not on every system before connecting
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)


def _upstream_socket(address: tuple[str, int]) -> socket.socket:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    end = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    end.setblocking(False)
    _tune(end)
    return end


def _listening_socket(address: tuple[str, int]) -> socket.socket:
    """Accepted sockets inherit its buffer sizes."""
    listener = _upstream_socket(address)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(256)
    except OSError:
        listener.close()
        raise
    return listener
