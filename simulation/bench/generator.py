"""A load generator that costs as little as Python can: one loop, no callbacks, no bodies.

Heads are read as usual and looked at; the rest of a body is dropped in the kernel (MSG_TRUNC), so
that the generator neither copies it nor hides what servers differ in. When time is up
no connection asks again, and the answers under way are waited for and counted: what a server did
in a run is exactly what was counted.

Run as `python -m simulation.bench.generator`: a Job per line comes in, `go` begins it.
"""

from __future__ import annotations

import gc
import heapq
import re
import select
import socket
import ssl
import sys
import time
from collections.abc import Callable

import msgspec

from simulation.bench.load import SAMPLES_MAX, Ask, Connected, Failed, Job, Load

HEAD_READ_BYTES = 16_384
DROP_BYTES = 1 << 20
LATE_S = 20.0
"""For answers under way when time is up."""

_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: *(\d+)\r\n")


class LoadFailed(Exception):
    """What the server answered is no measurement. The message completes "it answered ..."."""


class _Connection:
    __slots__ = ("asked_s", "due_s", "free_s", "head", "left", "next_ask", "size", "sock")

    def __init__(self, sock: socket.socket, next_ask: int) -> None:
        self.sock = sock
        self.next_ask = next_ask
        self.size = 0  # of the body that was asked for
        self.left = -1  # of the body; -1: the head is awaited
        self.head = b""  # of a head that came in pieces
        self.asked_s = 0.0
        self.due_s = 0.0
        self.free_s = 0.0  # when its last answer was complete


def request_maker(ask: Ask, port: int) -> Callable[[int], bytes]:
    """The request's bytes for a number; where none is wanted, the same bytes each time."""
    head = f"GET {ask.target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{ask.headers}\r\n".encode()
    before, mark, after = head.partition(b"%d")
    if not mark:
        return lambda number: head
    return lambda number: before + b"%d" % number + after


class Run:
    """One job: connect, then ask until time is up."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._makers = [(request_maker(ask, job.port), ask.size_bytes) for ask in job.asks]
        self._status = b"HTTP/1.1 %d " % job.status
        self._number = job.first_number
        self._buffer = bytearray(DROP_BYTES)
        self._ttfb_s: list[float] = []
        self._latency_s: list[float] = []
        self._body_bytes = 0
        self._connections: dict[int, _Connection] = {}
        stride = max(1, len(job.asks) // job.connection_count)
        context = _tls_context() if job.is_tls else None
        for index in range(job.connection_count):
            sock = socket.create_connection(("127.0.0.1", job.port), timeout=LATE_S)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if context is not None:
                sock = context.wrap_socket(sock, server_hostname="localhost")
            sock.setblocking(False)
            self._connections[sock.fileno()] = _Connection(sock, index * stride)

    def close(self) -> None:
        for connection in self._connections.values():
            connection.sock.close()

    def go(self) -> Load:
        """Raises LoadFailed on an unusable answer."""
        job = self._job
        started_s = time.perf_counter()
        until_s = started_s + job.duration_s
        if job.rate_per_s is None:
            for connection in self._connections.values():
                self._ask(connection)
            self._loop(until_s)
        else:
            self._paced(started_s, until_s, job.connection_count / job.rate_per_s)
        took_s = time.perf_counter() - started_s
        if not self._latency_s:
            raise LoadFailed(f"nothing within {job.duration_s:g} s")
        return Load(
            request_count=len(self._latency_s),
            body_bytes=self._body_bytes,
            duration_s=took_s,
            ttfb_s=thinned(self._ttfb_s),
            latency_s=thinned(self._latency_s),
        )

    def _loop(self, until_s: float) -> None:
        poll, connections = _poller(self._connections).poll, self._connections
        open_count = len(connections)
        while open_count:
            events = poll(LATE_S)
            if not events:
                raise LoadFailed(f"nothing for {LATE_S:.0f} s")
            may_ask = time.perf_counter() < until_s
            for fd, _ in events:
                connection = connections[fd]
                if self._read(connection):
                    if may_ask:
                        self._ask(connection)
                    else:
                        open_count -= 1

    def _paced(self, started_s: float, until_s: float, interval_s: float) -> None:
        """Each connection asks on its own grid, whatever the answers take.

        What falls due while an answer is awaited is asked right after it, and counts from when it
        was due: a server that stalls pays for all that it kept waiting, not for one.
        """
        poll, connections = _poller(self._connections).poll, self._connections
        waiting = [
            (started_s + interval_s * index / len(connections), fd)
            for index, fd in enumerate(connections)
        ]
        busy_count = 0
        give_up_s = until_s + (until_s - started_s)  # a server that cannot keep up is not pursued
        while True:
            now_s = time.perf_counter()
            while waiting and waiting[0][0] <= now_s:
                due_s, fd = heapq.heappop(waiting)
                connection = connections[fd]
                if due_s < until_s and now_s < give_up_s:
                    is_late = due_s < connection.free_s
                    connection.due_s = due_s
                    self._ask(connection)
                    if is_late:
                        connection.asked_s = due_s
                    busy_count += 1
            if not waiting and not busy_count:
                break
            pause_s = waiting[0][0] - time.perf_counter() if waiting else LATE_S
            events = poll(max(0.0, pause_s))
            if not events and not waiting:
                raise LoadFailed(f"nothing for {LATE_S:.0f} s")
            for fd, _ in events:
                connection = connections[fd]
                if self._read(connection):
                    busy_count -= 1
                    connection.free_s = time.perf_counter()
                    heapq.heappush(waiting, (connection.due_s + interval_s, fd))

    def _ask(self, connection: _Connection) -> None:
        maker, connection.size = self._makers[connection.next_ask % len(self._makers)]
        connection.next_ask += 1
        self._number += 1
        connection.asked_s = time.perf_counter()
        connection.sock.send(maker(self._number))

    def _read(self, connection: _Connection) -> bool:
        """Take what is there; True when the answer is complete."""
        try:
            if connection.left < 0 and not self._read_head(connection):
                return False
            while connection.left > 0:
                wanted = min(connection.left, DROP_BYTES)
                count = self._receive(connection, wanted)
                connection.left -= count
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError as error:
            raise LoadFailed(f"by breaking the connection ({error})") from error
        connection.left = -1
        self._latency_s.append(time.perf_counter() - connection.asked_s)
        self._body_bytes += connection.size
        return True

    def _receive(self, connection: _Connection, wanted: int) -> int:
        if self._job.is_tls:  # records must be decrypted, so there is nothing to drop
            count = connection.sock.recv_into(self._buffer, wanted)
        else:
            count = connection.sock.recv_into(self._buffer, wanted, socket.MSG_TRUNC)
        if count == 0:
            raise LoadFailed("by closing the connection in the middle")
        return count

    def _read_head(self, connection: _Connection) -> bool:
        data = connection.sock.recv(HEAD_READ_BYTES)
        if not data:
            raise LoadFailed("by closing the connection")
        if connection.head:
            data, connection.head = connection.head + data, b""
        else:
            self._ttfb_s.append(time.perf_counter() - connection.asked_s)
        end = data.find(b"\r\n\r\n")
        if end < 0:
            connection.head = data
            return False
        if not data.startswith(self._status):
            raise LoadFailed(data[:60].decode("latin-1").splitlines()[0])
        length = _LENGTH.search(data, 0, end + 2)
        size = int(length[1]) if length is not None else 0
        if self._job.status == 304:  # names the length of what it does not send
            size = 0
        if size != connection.size:
            raise LoadFailed(f"{size} bytes instead of {connection.size}")
        connection.left = size - (len(data) - end - 4)
        if connection.left < 0:
            raise LoadFailed("more bytes than announced")
        return True


def _poller(connections: dict[int, _Connection]) -> select.epoll:
    epoll = select.epoll(len(connections))
    for fd in connections:
        epoll.register(fd, select.EPOLLIN)
    return epoll


def _tls_context() -> ssl.SSLContext:
    """TLS 1.3 and no check of the certificate: it was made a moment ago, for this machine."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def thinned(values: list[float]) -> tuple[float, ...]:
    """Sorted, at most SAMPLES_MAX of them, evenly spread; first and last stay."""
    ordered = sorted(values)
    if len(ordered) <= SAMPLES_MAX:
        return tuple(ordered)
    step = (len(ordered) - 1) / (SAMPLES_MAX - 1)
    return tuple(ordered[round(index * step)] for index in range(SAMPLES_MAX))


def _say(word: msgspec.Struct) -> None:
    sys.stdout.write(msgspec.json.encode(word).decode() + "\n")
    sys.stdout.flush()


def main() -> None:
    gc.disable()  # a collection in the middle would be somebody's p99
    for line in sys.stdin:
        try:
            run = Run(msgspec.json.decode(line, type=Job))
        except (OSError, ssl.SSLError) as error:
            _say(Failed(failure=f"by refusing a connection ({error})"))
            continue
        _say(Connected())
        sys.stdin.readline()
        try:
            _say(run.go())
        except LoadFailed as error:
            _say(Failed(failure=str(error)))
        run.close()
        gc.collect()


if __name__ == "__main__":
    main()
