"""Many clients that want the same slow object, and when each got its first byte."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from nearcast.errors import NearcastError

PATIENCE_S = 30.0
DROP_BYTES = 1 << 20
READS_AT_ONCE = 8


class Waited(msgspec.Struct, frozen=True, kw_only=True):
    """One client. Times are on the machine's monotonic clock."""

    asked_at_s: float
    first_byte_at_s: float
    status: str
    body_bytes: int


class _Client:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.asked_at_s = 0.0
        self.first_byte_at_s = 0.0
        self.head = b""
        self.body_bytes = 0


@contextmanager
def connected(port: int, count: int) -> Iterator[list[socket.socket]]:
    """So many open connections, closed on the way out."""
    found: list[socket.socket] = []
    try:
        for _ in range(count):
            sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
            found.append(sock)
        yield found
    finally:
        for sock in found:
            sock.close()


def ask_over_time(
    port: int, target: str, count: int, *, spread_s: float, size_bytes: int
) -> list[Waited]:
    """Clients ask one after the other, evenly over `spread_s`, and read all they get.

    Raises NearcastError when somebody is not served whole.
    """
    request = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    with (
        connected(port, count) as socks,
        select.epoll() as waiting,
        select.epoll() as reading,
        select.epoll() as either,
    ):
        either.register(waiting, select.EPOLLIN)
        either.register(reading, select.EPOLLIN)
        clients = {sock.fileno(): _Client(sock) for sock in socks}
        for sock in socks:
            sock.setblocking(False)
            waiting.register(sock, select.EPOLLIN)
        in_turn = iter(clients.values())
        begun_s = time.perf_counter()
        asked = done = 0
        buffer = bytearray(DROP_BYTES)
        while done < count:
            now_s = time.perf_counter()
            if now_s > begun_s + PATIENCE_S:
                raise NearcastError(f"{count - done} of {count} equal misses were not served")
            while asked < count and begun_s + spread_s * asked / count <= now_s:
                client = next(in_turn)
                client.asked_at_s = time.perf_counter()
                client.sock.send(request)
                asked += 1
            due_s = begun_s + spread_s * asked / count if asked < count else now_s + 1.0
            pause_s = max(0.0, due_s - time.perf_counter())
            either.poll(pause_s)
            # First bytes are seen before bodies are read, and only a few bodies at a time:
            # what this client is busy with must not look like the server's delay.
            events = waiting.poll(0)
            now_s = time.perf_counter()
            for fd, _ in events:
                clients[fd].first_byte_at_s = now_s
                waiting.unregister(fd)
                reading.register(fd, select.EPOLLIN)
            for fd, _ in reading.poll(0, READS_AT_ONCE):
                if _read(clients[fd], buffer) >= size_bytes:
                    reading.unregister(fd)
                    done += 1
        return [
            Waited(
                asked_at_s=client.asked_at_s,
                first_byte_at_s=client.first_byte_at_s,
                status=client.head[:12].decode("latin-1"),
                body_bytes=client.body_bytes,
            )
            for client in clients.values()
        ]


def _read(client: _Client, buffer: bytearray) -> int:
    """Take what is there; the body bytes so far."""
    try:
        if b"\r\n\r\n" not in client.head:
            data = client.sock.recv(16_384)
            count = len(data)
            client.head += data
            end = client.head.find(b"\r\n\r\n")
            client.body_bytes = len(client.head) - end - 4 if end >= 0 else 0
        else:
            count = client.sock.recv_into(buffer, DROP_BYTES, socket.MSG_TRUNC)
            client.body_bytes += count
    except BlockingIOError:
        return client.body_bytes
    if count == 0:
        raise NearcastError(f"an equal miss was cut off after {client.body_bytes} bytes")
    return client.body_bytes
