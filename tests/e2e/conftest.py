"""Real processes and a real origin that misbehaves on request."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import pytest

LIMIT_S = 20.0
Route = Callable[["Exchange"], None]


def eventually(is_true: Callable[[], bool], what: str = "the condition") -> None:
    """Return as soon as it is so; fail after LIMIT_S."""
    pause = threading.Event()
    for _ in range(int(LIMIT_S / 0.01)):
        if is_true():
            return
        pause.wait(0.01)
    raise AssertionError(f"{what} did not come true within {LIMIT_S:.0f} s")


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def cache_status(self) -> str:
        return self.headers.get("cache-status", "")

    @property
    def is_hit(self) -> bool:
        return "; hit" in self.cache_status


class Exchange:
    """One request at the origin, and the means to answer it well or badly."""

    def __init__(self, end: socket.socket, method: str, target: str) -> None:
        self.method = method
        self.target = target
        self.headers: dict[str, str] = {}
        self.body = b""
        self._end = end

    def head(self, status: int = 200, **headers: str | int) -> None:
        """The head alone; `content_length=3` becomes `content-length: 3`."""
        lines = [f"HTTP/1.1 {status} x", "connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.send("\r\n".join([*lines, "", ""]).encode())

    def send(self, data: bytes) -> None:
        self._end.sendall(data)

    def reply(self, body: bytes = b"", status: int = 200, **headers: Any) -> None:
        self.head(status, content_length=len(body), **headers)
        if self.method != "HEAD":
            self.send(body)

    def reset(self) -> None:
        """End the connection with a reset."""
        self._end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


class FaultyOrigin:
    """An HTTP server whose answer to each path is a function of the test."""

    def __init__(self) -> None:
        self.routes: dict[str, Route] = {}
        self.seen: list[Exchange] = []
        self._arrived = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._threads: list[threading.Thread] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._spawn(self._accept)

    def serve(self, path: str, body: bytes, **headers: Any) -> None:
        """A well-behaved path, fresh for a minute unless told otherwise."""
        headers.setdefault("cache_control", "max-age=60")
        self.routes[path] = lambda exchange: exchange.reply(body, **headers)

    def count(self, path: str) -> int:
        return sum(exchange.target == path for exchange in self.seen)

    def wait_for(self, path: str, count: int = 1) -> None:
        """Return when so many requests for this path have arrived."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: self.count(path) >= count, LIMIT_S), path

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(LIMIT_S)

    def _spawn(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                end, _ = self._listener.accept()
                self._spawn(self._answer, end)

    def _answer(self, end: socket.socket) -> None:
        with end, contextlib.suppress(OSError), end.makefile("rb") as stream:
            end.settimeout(LIMIT_S)
            exchange = _read(end, stream.readline, stream.read)
            if exchange is None:
                return
            with self._arrived:
                self.seen.append(exchange)
                self._arrived.notify_all()
            route = self.routes.get(exchange.target)
            if route is None:
                exchange.reply(b"nothing here\n", status=404)
            else:
                route(exchange)


def _read(
    end: socket.socket, line: Callable[[], bytes], body: Callable[[int], bytes]
) -> Exchange | None:
    words = line().decode("latin-1").split()
    if len(words) != 3:
        return None
    exchange = Exchange(end, words[0], words[1])
    while text := line().decode("latin-1").strip():
        name, _, value = text.partition(":")
        exchange.headers[name.lower()] = value.strip()
    if "chunked" in exchange.headers.get("transfer-encoding", ""):
        while size := int(line(), 16):
            exchange.body += body(size)
            line()
        line()
    else:
        exchange.body = body(int(exchange.headers.get("content-length", "0")))
    return exchange


class EdgeProcess:
    """A `nearcast edge` process that is ready; a context manager that ends it."""

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        *,
        file_bytes_max: int = 0,
        clock_step_s: float = 0.0,
        environ: dict[str, str] | None = None,
    ) -> None:
        """`clock_step_s`: how far off the truth its wall clock is."""
        self.log_file = folder / f"edge-{len(os.listdir(folder))}.log"
        limit = (
            f"resource.setrlimit(resource.RLIMIT_FSIZE, ({file_bytes_max}, {file_bytes_max}));"
            if file_bytes_max
            else ""
        )
        clock = (
            f"import time; true_s = time.time; time.time = lambda: true_s() + {clock_step_s};"
            if clock_step_s
            else ""
        )
        code = f"import resource, sys; {limit} {clock} from nearcast.main import run; run()"
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code, "edge", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **(environ or {})},
            )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read_lines, daemon=True)
        self._reader.start()
        try:
            self.ready_line = self._lines.get(timeout=LIMIT_S)
            assert self.ready_line, self.log()
        except BaseException:
            self.stop()
            raise
        self.url = self.ready_line.split()[3]
        self.port = int(self.url.rpartition(":")[2])

    def __enter__(self) -> EdgeProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def log(self) -> str:
        return self.log_file.read_text()

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S)

    def request(
        self, method: str, target: str, body: bytes | None = None, **headers: str
    ) -> Answer:
        """One request on a connection of its own; `if_none_match=...` becomes a header."""
        connection = self.connect()
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, target, body, named)
            answer = connection.getresponse()
            fields = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, fields, answer.read())
        finally:
            connection.close()

    def get(self, target: str, **headers: str) -> Answer:
        return self.request("GET", target, None, **headers)

    def status(self) -> dict[str, Any]:
        status = json.loads(self.get("/.nearcast/status").body)
        assert isinstance(status, dict)
        return status

    def wait_status(self, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first status of which it is so."""
        found: list[dict[str, Any]] = []

        def looks_right() -> bool:
            found[:] = [self.status()]
            return is_so(found[0])

        eventually(looks_right, "the status")
        return found[0]

    def stop(self) -> int:
        """SIGTERM, unless it has ended; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        self._reader.join(LIMIT_S)
        return status

    def _read_lines(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put("")


StartEdge = Callable[..., EdgeProcess]


@pytest.fixture(scope="module")
def origin() -> Iterator[FaultyOrigin]:
    """One for all tests of a file: each takes paths of its own."""
    server = FaultyOrigin()
    yield server
    server.close()


@pytest.fixture(scope="module")
def start_edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartEdge]:
    """Starts `nearcast edge` in front of an origin, on a free port, without prefetch unless asked;
    whatever still runs is ended after the file's last test."""
    running: list[EdgeProcess] = []

    def start(upstream: str, *arguments: str, prefetch: bool = False, **limits: Any) -> EdgeProcess:
        edge = EdgeProcess(
            [
                *("--upstream", upstream, "--listen", "127.0.0.1:0"),
                *("--set", f"prefetch.enabled={'true' if prefetch else 'false'}"),
                *arguments,
            ],
            tmp_path_factory.mktemp("edge"),
            **limits,
        )
        running.append(edge)
        return edge

    yield start
    for edge in running:
        edge.stop()
