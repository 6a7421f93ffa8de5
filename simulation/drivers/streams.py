"""The byte-carrying half of the proxy: sockets, and streams that a link counts and paces.

A `Stream` is one direction of one connection. It keeps the bytes that its flow on the link has
queued or in flight; the link says when how many of them may be written to the other side.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import cast

from nearcast.aio import Pump
from nearcast.clock import Clock
from simulation.link import Link
from simulation.link_events import (
    BytesDelivered,
    BytesOffered,
    EndDelivered,
    EndOffered,
    FlowDropped,
    FlowHeld,
    FlowOpened,
    FlowReleased,
    LinkEvent,
    RoomFreed,
)

READ_BYTES = 64 * 1024
WRITE_BUFFER_BYTES = 64 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Socket(asyncio.BufferedProtocol):
    """One end of a connection: reads into the stream that leaves it, is written by the other."""

    def __init__(self, on_made: Callable[[Socket], None] | None = None) -> None:
        self.transport: asyncio.Transport | None = None
        self.outgoing: Stream | None = None  # carries away what is read here
        self.incoming: Stream | None = None  # brings what is written here
        self.on_lost: Callable[[Socket, Exception | None], None] | None = None
        self.is_lost = False
        self._on_made = on_made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        if self._on_made is not None:
            self._on_made(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        assert self.outgoing is not None, "nothing is read before the streams are there"
        return self.outgoing.read_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        assert self.outgoing is not None
        self.outgoing.read(nbytes)

    def eof_received(self) -> bool:
        assert self.outgoing is not None
        self.outgoing.end(is_reset=False)
        return True  # our writing side stays open

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        if self.on_lost is not None:
            self.on_lost(self, exc)

    def pause_writing(self) -> None:
        if self.incoming is not None:
            self.incoming.hold()

    def resume_writing(self) -> None:
        if self.incoming is not None:
            self.incoming.release()

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def reset(self) -> None:
        """Close so that the peer sees a reset and not an orderly end."""
        if self.transport is None or self.is_lost:
            return
        end = self.transport.get_extra_info("socket")
        with contextlib.suppress(OSError):  # the peer may have closed meanwhile
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.transport.abort()


class Stream:
    """One direction of one connection: bytes queued here, counted by the link."""

    def __init__(
        self,
        direction: Direction,
        flow_id: int,
        source: Socket,
        sink: Socket,
        *,
        on_end: Callable[[Socket, EndDelivered], None],
        on_progress: Callable[[], None],
    ) -> None:
        self.is_over = False  # the end was delivered, or the flow dropped
        self._direction = direction
        self._flow_id = flow_id
        self._source = source
        self._sink = sink
        self._chunks: deque[memoryview] = deque()
        self._has_end = False
        self._on_end = on_end
        self._on_progress = on_progress
        direction.streams[flow_id] = self
        direction.pump.feed(FlowOpened(flow_id))

    @property
    def held_bytes(self) -> int:
        return self._direction.link.held_bytes(self._flow_id)

    def read_buffer(self) -> memoryview:
        room_bytes = self._direction.link.room_bytes(self._flow_id)
        return self._direction.buffer[: max(1, min(room_bytes, READ_BYTES))]

    def read(self, size_bytes: int) -> None:
        if self._has_end or self.is_over:
            return  # the receiver has gone: what still comes is read and dropped
        self._chunks.append(memoryview(bytes(self._direction.buffer[:size_bytes])))
        self._direction.pump.feed(BytesOffered(self._flow_id, size_bytes))
        if self._direction.link.room_bytes(self._flow_id) == 0 and not self.is_over:
            assert self._source.transport is not None
            self._source.transport.pause_reading()

    def end(self, *, is_reset: bool) -> None:
        if not self._has_end and not self.is_over:
            self._has_end = True
            self._direction.pump.feed(EndOffered(self._flow_id, is_reset))

    def drop(self) -> None:
        """The receiver is gone."""
        if not self.is_over:
            self.is_over = True
            self._chunks.clear()
            del self._direction.streams[self._flow_id]
            self._direction.pump.feed(FlowDropped(self._flow_id))

    def hold(self) -> None:
        if not self.is_over:
            self._direction.pump.feed(FlowHeld(self._flow_id))

    def release(self) -> None:
        if not self.is_over:
            self._direction.pump.feed(FlowReleased(self._flow_id))

    def deliver(self, size_bytes: int) -> None:
        assert self._sink.transport is not None, "the flow is held until the sink is there"
        while size_bytes > 0:
            chunk = self._chunks.popleft()
            if len(chunk) > size_bytes:
                self._chunks.appendleft(chunk[size_bytes:])
                chunk = chunk[:size_bytes]
            size_bytes -= len(chunk)
            self._sink.transport.write(chunk)
        self._on_progress()

    def deliver_end(self, end: EndDelivered) -> None:
        self.is_over = True
        del self._direction.streams[self._flow_id]
        self._on_end(self._sink, end)

    def resume(self) -> None:
        if self._source.transport is not None and not self._source.is_lost:
            self._source.transport.resume_reading()


class Direction:
    """A link, its pump, and the streams on it."""

    def __init__(self, link: Link, clock: Clock) -> None:
        self.link = link
        self.pump: Pump[LinkEvent, LinkEvent] = Pump(link, self._perform, clock)
        self.streams: dict[int, Stream] = {}
        self.buffer = memoryview(bytearray(READ_BYTES))

    def _perform(self, effect: LinkEvent) -> None:
        stream = self.streams.get(effect.flow_id)
        if stream is None:
            return  # dropped while the effect was on its way
        match effect:
            case BytesDelivered():
                stream.deliver(effect.size_bytes)
            case EndDelivered():
                stream.deliver_end(effect)
            case RoomFreed():
                stream.resume()
