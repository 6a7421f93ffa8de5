"""Hostile bytes on a real edge's socket: each gets its status, and none gets a request past it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.attack_cases import CANARY, GROUPS, INNER, MEDIA, MEDIA_BYTES, SMUGGLED, UNKEYED, Case

if TYPE_CHECKING:
    from tests.e2e.conftest import EdgeProcess, Exchange, FaultyOrigin, StartEdge

LIMIT_S = 20.0
CASES = [
    pytest.param(case, id=f"{group}: {case.name}")
    for group, cases in GROUPS.items()
    for case in cases
]


@pytest.fixture(scope="module")
def edge(origin: FaultyOrigin, start_edge: StartEdge) -> Iterator[EdgeProcess]:
    """One for all attacks: none may spoil it for those that follow."""
    origin.serve(CANARY, b"canary")
    origin.serve(MEDIA, bytes(MEDIA_BYTES))
    origin.routes["/upload"] = lambda exchange: exchange.reply(exchange.body)
    with start_edge(origin.url) as process:
        assert process.get(MEDIA).status == 200
        yield process
    assert origin.count(SMUGGLED) == 0


class Wire:
    """A raw connection that reads one answer at a time."""

    def __init__(self, edge: EdgeProcess) -> None:
        self._end = socket.create_connection(("127.0.0.1", edge.port), timeout=LIMIT_S)
        self._buffer = b""

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()

    def send(self, data: bytes) -> None:
        # Refused in the middle of it, the answer is still to be read.
        with contextlib.suppress(OSError):
            self._end.sendall(data)

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next answer, whole."""
        while b"\r\n\r\n" not in self._buffer:
            self._fill()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        fields = {}
        for one in lines[1:]:
            name, _, value = one.partition(":")
            fields[name.lower()] = value.strip()
        size = int(fields.get("content-length", "0"))
        while len(self._buffer) < size:
            self._fill()
        body, self._buffer = self._buffer[:size], self._buffer[size:]
        return int(lines[0].split()[1]), fields, body

    def rest(self) -> bytes:
        """All that still comes, until the edge closes."""
        try:
            while True:
                self._fill()
        except (EOFError, ConnectionError):
            return self._buffer

    def _fill(self) -> None:
        data = self._end.recv(65536)
        if not data:
            raise EOFError("the edge closed")
        self._buffer += data


def test_there_are_enough_cases() -> None:
    assert sum(map(len, GROUPS.values())) + len(UNKEYED) >= 150


@pytest.mark.parametrize("case", CASES)
def test_attack_gets_its_status(case: Case, origin: FaultyOrigin, edge: EdgeProcess) -> None:
    with Wire(edge) as wire:
        wire.send(case.data)
        status, _, body = wire.answer()

        assert status in case.statuses
        assert len(body) <= 2 * MEDIA_BYTES
        if case.closes:
            assert wire.rest() == b""
        else:
            wire.send(b"GET /canary HTTP/1.1\r\nHost: edge\r\n\r\n")
            assert wire.answer()[0::2] == (200, b"canary")
    assert origin.count(SMUGGLED) == 0


@pytest.mark.parametrize("field", UNKEYED, ids=lambda field: field.decode())
def test_unkeyed_field_cannot_poison_what_others_get(
    field: bytes, origin: FaultyOrigin, edge: EdgeProcess
) -> None:
    name = field.decode().lower()
    target = f"/poisoned-by-{name}"

    def echo(exchange: Exchange) -> None:
        exchange.reply(repr(exchange.headers).encode(), cache_control="max-age=60")

    origin.routes[target] = echo
    with Wire(edge) as wire:
        for line in (field + b": evil.example", b"X-Nothing: x"):
            wire.send(b"GET %b HTTP/1.1\r\nHost: edge\r\n%b\r\n\r\n" % (target.encode(), line))
            status, _, body = wire.answer()
            assert status == 200
            assert b"evil.example" not in body


@pytest.mark.parametrize("size", [1, 7, 41])
def test_body_that_looks_like_a_request_is_a_body(
    size: int, origin: FaultyOrigin, edge: EdgeProcess
) -> None:
    """Whatever segments it comes in (the trap of a second parser on one connection)."""
    message = (
        b"POST /upload HTTP/1.1\r\nHost: edge\r\nContent-Length: %d\r\n\r\n" % len(INNER) + INNER
    )
    with Wire(edge) as wire:
        for start in range(0, len(message), size):
            wire.send(message[start : start + size])
        wire.send(b"GET /canary HTTP/1.1\r\nHost: edge\r\n\r\n")

        assert wire.answer()[0::2] == (200, INNER)
        assert wire.answer()[0::2] == (200, b"canary")
    assert origin.count(SMUGGLED) == 0


def test_refused_head_is_not_stored_for_others(origin: FaultyOrigin, edge: EdgeProcess) -> None:
    """A cache-poisoned denial of service: what one client's bad head gets, nobody else gets."""
    origin.serve("/denied", b"fine")
    for bad in (b"X-A: " + b"b" * 70_000, b"X-A: \x07", b"Expect: a-miracle"):
        with Wire(edge) as wire:
            wire.send(b"GET /denied HTTP/1.1\r\nHost: edge\r\n%b\r\n\r\n" % bad)
            assert wire.answer()[0] >= 400

    assert edge.get("/denied").body == b"fine"
