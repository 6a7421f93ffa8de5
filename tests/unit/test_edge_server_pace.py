"""Clients that take little of their answer: who is let go, and who is not."""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from edge.config.server import ServerConfig
from edge.drivers.server.connection import Connection
from edge.drivers.server.pace import Pace
from edge.drivers.sockets import acknowledged_bytes, listening_socket
from nearcast.units import bytes_per_s_from_kbps

SETTINGS = ServerConfig()
SEND_S = SETTINGS.send_s
BYTES_PER_S_MIN = bytes_per_s_from_kbps(SETTINGS.rate_min_kbps)
CHECK_S = SEND_S / 4
STEP_BYTES = 300_000
"""A sixteenth of the largest buffer a client's system gives by itself, as windows open."""


def seconds_kept(bytes_per_s: float, until_s: float, *, fast_s: float = 0.0) -> float:
    """How long a client is kept whose bytes are seen to move in steps; fast at first."""
    pace = Pace()
    now_s = taken_bytes = 0.0
    while now_s < until_s:
        now_s += CHECK_S
        taken_bytes += CHECK_S * (1e9 if now_s <= fast_s else bytes_per_s)
        seen_bytes = int(taken_bytes // STEP_BYTES * STEP_BYTES)
        if not pace.is_enough(seen_bytes, now_s, bytes_per_s_min=BYTES_PER_S_MIN, window_s=SEND_S):
            break
    return now_s


@pytest.mark.parametrize("factor", [1.01, 1.3, 2.0, 50.0])
def test_client_steady_above_the_rate_is_kept(factor: float) -> None:
    assert seconds_kept(factor * BYTES_PER_S_MIN, 10_000) >= 10_000


def test_client_that_stops_is_let_go_within_twice_its_time_however_fast_it_was() -> None:
    assert seconds_kept(0.0, 1000) <= 2 * SEND_S
    assert seconds_kept(0.0, 1000, fast_s=600) <= 600 + 2 * SEND_S


def test_client_below_the_rate_is_let_go_and_without_a_rate_nobody_is() -> None:
    assert seconds_kept(0.5 * BYTES_PER_S_MIN, 1000) < 5 * SEND_S
    pace = Pace()
    for now_s in (0.0, 1e6):
        assert pace.is_enough(0, now_s, bytes_per_s_min=0.0, window_s=SEND_S)


def test_kernel_lets_no_slow_client_go() -> None:
    with listening_socket("127.0.0.1:0", "--listen") as end:
        assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 0


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    ours.setblocking(False)
    theirs.setblocking(False)
    with ours, theirs:
        yield ours, theirs


class Slow:
    """A connection that sends without end to a client that reads now and then, on a real socket and
    a clock of its own."""

    def __init__(self, ours: socket.socket, theirs: socket.socket) -> None:
        self.ours, self.theirs = ours, theirs
        self.now_s = 0.0
        self.is_let_go = False
        self.held_back_bytes = 0
        server: Any = SimpleNamespace(
            now_s=lambda: self.now_s,
            settings=SETTINGS,
            client_bytes_per_s_min=BYTES_PER_S_MIN,
            header_deadline_s=10.0,
            hits=SimpleNamespace(serve=None),
            listener=SimpleNamespace(admit=lambda _: True),
            wheel=SimpleNamespace(watch=lambda _: None),
        )
        self.sending: Any = SimpleNamespace(sent_bytes=0, close=lambda: None)
        self.connection = Connection(server, is_plain=True)
        self.connection.connection_made(self)  # type: ignore[arg-type]
        self.connection._sending = self.sending
        self.send()
        self.connection.waits_for_client(True)

    def get_extra_info(self, name: str) -> Any:
        return self.ours if name == "socket" else self.ours.getpeername()

    def get_write_buffer_size(self) -> int:
        return self.held_back_bytes

    def close(self) -> None:
        pass

    def abort(self) -> None:
        self.is_let_go = True

    def send(self) -> None:
        """As much as goes out, once the system says that some does."""
        while select.select([], [self.ours], [], 0)[1]:
            self.sending.sent_bytes += self.ours.send(bytes(65_536))

    def go_on(self, bytes_per_s: float) -> None:
        """Until the next time that the connection looks at its client."""
        passed_s = self.connection.due_s - self.now_s
        wanted_bytes = int(bytes_per_s * passed_s)
        while wanted_bytes > 0 and select.select([self.theirs], [], [], 5)[0]:
            wanted_bytes -= len(self.theirs.recv(wanted_bytes))
            self.send()
        assert wanted_bytes == 0
        self.now_s += passed_s
        self.connection.expire(self.now_s)


def test_steady_client_is_kept_and_let_go_when_it_stops(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    world = Slow(*ends)
    while world.now_s < 40 * SEND_S:
        world.go_on(1.05 * BYTES_PER_S_MIN)
        assert not world.is_let_go, f"after {world.now_s:.0f} s"
    stopped_s = world.now_s
    while not world.is_let_go:
        world.go_on(0.0)
    assert world.now_s - stopped_s <= 2 * SEND_S
    ours, theirs = ends
    ours.close()
    ended = select.poll()
    ended.register(theirs, 0)
    assert ended.poll(5000)
    error = theirs.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    assert error == errno.ECONNRESET  # nothing of it is kept


def test_end_of_the_last_answer_is_waited_for_as_any_other_part(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    world = Slow(*ends)
    world.connection.waits_for_client(False)
    world.connection.stop_sending()
    world.held_back_bytes = 300_000
    world.connection.close()
    while world.now_s < 10 * SEND_S:
        world.go_on(1.05 * BYTES_PER_S_MIN)
        assert not world.is_let_go, f"after {world.now_s:.0f} s"
    world.held_back_bytes = 0
    world.go_on(0.0)
    assert world.is_let_go


def test_what_the_client_takes_of_a_full_socket_is_counted(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    while select.select([], [ours], [], 0)[1]:
        ours.send(bytes(65_536))
    before = acknowledged_bytes(ours)
    if before is None:
        pytest.skip("this system does not say what was acknowledged")
    while (acknowledged_bytes(ours) or 0) <= before:
        assert select.select([theirs], [], [], 5)[0]
        theirs.recv(10_000)
    ours.close()
    assert acknowledged_bytes(ours) is None
