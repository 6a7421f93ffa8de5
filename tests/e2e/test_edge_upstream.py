"""The client side of an edge against an origin that keeps its connections, and over TLS."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import pytest

from edge.config import EdgeConfig
from edge.drivers.bodies import Bodies
from edge.drivers.upstream import Upstream
from edge.effects import StartFill
from edge.events import Event, FillEnded, FillFailed
from edge.services import Services
from tests.certificates import Authority, needs_openssl

if TYPE_CHECKING:
    from tests.e2e.conftest import EdgeProcess, StartEdge

LIMIT_S = 20.0
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncache-control: max-age=60\r\n\r\nhello"
NO_STORE = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncache-control: no-store\r\n\r\nhello"


class Talk:
    """One connection at the origin, as its route sees it."""

    def __init__(self, number: int, end: socket.socket, stream: BinaryIO) -> None:
        self.number = number
        self._end = end
        self._stream = stream

    def head(self) -> tuple[str, dict[str, str]] | None:
        """The next request's line and fields; None when the edge has closed."""
        line = self._stream.readline().decode("latin-1").strip()
        if not line:
            return None
        fields: dict[str, str] = {}
        while text := self._stream.readline().decode("latin-1").strip():
            name, _, value = text.partition(":")
            fields[name.lower()] = value.strip()
        return line, fields

    def read(self, size_bytes: int) -> bytes:
        return self._stream.read(size_bytes)

    def readline(self) -> bytes:
        return self._stream.readline()

    def send(self, data: bytes) -> None:
        self._end.sendall(data)


class KeepingOrigin:
    """Lets a route carry on each connection as it likes."""

    def __init__(
        self, route: Callable[[Talk], None], context: ssl.SSLContext | None = None
    ) -> None:
        self.requests: list[tuple[int, str, dict[str, str]]] = []
        self._route = route
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        scheme = "https" if context is not None else "http"
        self.port = self._listener.getsockname()[1]
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self._threads: list[threading.Thread] = []
        self._spawn(self._accept)

    def __enter__(self) -> KeepingOrigin:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _spawn(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            for number in range(1, 1000):
                end, _ = self._listener.accept()
                self._spawn(self._talk, number, end)

    def _talk(self, number: int, end: socket.socket) -> None:
        with contextlib.suppress(OSError):
            end.settimeout(LIMIT_S)
            if self._context is not None:
                end = self._context.wrap_socket(end, server_side=True)
            with end, end.makefile("rb") as stream:
                self._route(Talk(number, end, stream))


def started(start_edge: StartEdge, origin: KeepingOrigin, *settings: str) -> EdgeProcess:
    arguments = [word for setting in settings for word in ("--set", setting)]
    return start_edge(origin.url, *arguments)


def test_connections_to_upstream_are_kept(start_edge: StartEdge) -> None:
    numbers: list[int] = []

    def serve(talk: Talk) -> None:
        while talk.head() is not None:
            numbers.append(talk.number)
            talk.send(OK)

    with KeepingOrigin(serve) as origin, started(start_edge, origin) as edge:
        assert [edge.get(f"/{number}").body for number in range(5)] == [b"hello"] * 5
    assert len(set(numbers)) == 1


def test_kept_connection_that_dies_under_a_request_costs_nobody_an_answer(
    start_edge: StartEdge,
) -> None:
    numbers: list[int] = []

    def serve_once(talk: Talk) -> None:
        while (request := talk.head()) is not None:
            if "catalog" in request[0]:
                talk.send(OK)
                continue
            numbers.append(talk.number)
            if numbers.count(talk.number) > 1:
                return  # the request is read, and the connection closed without a word
            talk.send(OK)

    with KeepingOrigin(serve_once) as origin, started(start_edge, origin) as edge:
        assert [edge.get(f"/{number}").status for number in range(4)] == [200] * 4


def test_upload_is_never_sent_twice(start_edge: StartEdge) -> None:
    uploads: list[int] = []

    def closes_on_uploads(talk: Talk) -> None:
        while (request := talk.head()) is not None:
            if request[0].startswith("POST"):
                uploads.append(talk.number)
                return
            talk.send(OK)

    with KeepingOrigin(closes_on_uploads) as origin, started(start_edge, origin) as edge:
        assert edge.get("/warm").status == 200
        assert edge.request("POST", "/upload", b"body").status == 502
    assert len(uploads) == 1


def test_upload_streams_and_its_answer_has_trailers(start_edge: StartEdge) -> None:
    first_part = threading.Event()
    sent: list[str] = []

    def echo(talk: Talk) -> None:
        while (request := talk.head()) is not None:
            if not request[0].startswith("PUT"):
                talk.send(OK)
                continue
            body = b""
            while size := int(talk.readline().split(b";")[0], 16):
                body += talk.read(size)
                talk.readline()
                first_part.set()
            sent.append(talk.readline().decode())
            talk.send(
                b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n"
                b"HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\ntrailer: sum\r\n\r\n"
                b"%x\r\n%b\r\n0\r\nsum: 42\r\n\r\n" % (len(body), body)
            )

    with (
        KeepingOrigin(echo) as origin,
        started(start_edge, origin) as edge,
        socket.create_connection(("127.0.0.1", edge.port), timeout=LIMIT_S) as client,
    ):
        client.sendall(
            b"PUT /up HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n"
            b"te: trailers\r\nconnection: close, te\r\n\r\n5\r\nfirst\r\n"
        )
        assert first_part.wait(LIMIT_S)  # while the client holds the rest back
        client.sendall(b"6\r\n, last\r\n0\r\nmine: 7\r\n\r\n")
        answer = client.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 103 Early Hints\r\n")
    assert b"HTTP/1.1 201 Created\r\n" in answer
    assert answer.endswith(b"first, last\r\n0\r\nsum: 42\r\n\r\n")
    assert sent == ["mine: 7\r\n"]


def test_trailers_reach_those_who_wait_and_are_not_stored(start_edge: StartEdge) -> None:
    def answer(talk: Talk) -> None:
        while talk.head() is not None:
            talk.send(
                b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\n"
                b"transfer-encoding: chunked\r\n\r\n"
                b"4\r\nbody\r\n0\r\nsum: 42\r\ncontent-length: 9\r\n\r\n"
            )

    answers = []
    with KeepingOrigin(answer) as origin, started(start_edge, origin) as edge:
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", edge.port), timeout=LIMIT_S) as client:
                client.sendall(b"GET /a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                answers.append(client.makefile("rb").read())
    assert answers[0].endswith(b"\r\n4\r\nbody\r\n0\r\nsum: 42\r\n\r\n")
    assert answers[1].endswith(b"\r\n\r\nbody")


def test_early_refusal_of_an_upload_reaches_the_client(start_edge: StartEdge) -> None:
    def refuse(talk: Talk) -> None:
        while (request := talk.head()) is not None:
            if request[0].startswith("POST"):
                talk.read(1000)
                talk.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nno\n")
            else:
                talk.send(OK)

    with KeepingOrigin(refuse) as origin, started(start_edge, origin) as edge:
        with socket.create_connection(("127.0.0.1", edge.port), timeout=LIMIT_S) as client:
            client.sendall(
                b"POST /up HTTP/1.1\r\nhost: x\r\ncontent-length: 100000000\r\n\r\n" + bytes(1000)
            )
            answer = client.makefile("rb").readline()
        assert answer.startswith(b"HTTP/1.1 413 ")


def test_garbage_behind_an_answer_is_not_taken_for_the_next_one(start_edge: StartEdge) -> None:
    poison = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\ncache-control: max-age=60\r\n\r\npoison"

    def poisons(talk: Talk) -> None:
        while talk.head() is not None:
            talk.send(OK + poison)

    with KeepingOrigin(poisons) as origin, started(start_edge, origin) as edge:
        assert [edge.get(f"/{number}").body for number in range(5)] == [b"hello"] * 5


# TLS


def server_context(pair: tuple[Path, Path], clients: Path | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    if clients is not None:
        context.load_verify_locations(cafile=str(clients))
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def serve_all(talk: Talk) -> None:
    while talk.head() is not None:
        talk.send(OK)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "trusted")


@needs_openssl
def test_upstream_is_known_by_its_certificate(
    start_edge: StartEdge, authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "other")
    context = server_context(authority.sign("127.0.0.1"))
    with KeepingOrigin(serve_all, context) as origin:
        with started(start_edge, origin, f"service.tls.ca_file={authority.file}") as edge:
            assert edge.get("/known").body == b"hello"
        for settings in ((), (f"service.tls.ca_file={other.file}",)):
            with started(start_edge, origin, *settings) as edge:
                assert edge.get("/unknown").status == 502


@needs_openssl
def test_name_in_the_certificate_may_be_set(start_edge: StartEdge, authority: Authority) -> None:
    ca_file = f"service.tls.ca_file={authority.file}"
    with KeepingOrigin(serve_all, server_context(authority.sign("origin.example"))) as origin:
        with started(start_edge, origin, ca_file) as edge:
            assert edge.get("/").status == 502
        with started(start_edge, origin, ca_file, "service.tls.server_name=origin.example") as edge:
            assert edge.get("/").body == b"hello"


@needs_openssl
def test_edge_shows_upstream_a_certificate(start_edge: StartEdge, authority: Authority) -> None:
    ca_file = f"service.tls.ca_file={authority.file}"
    client = authority.sign("edge.example")
    context = server_context(authority.sign("127.0.0.1"), clients=authority.file)
    with KeepingOrigin(serve_all, context) as origin:
        with started(start_edge, origin, ca_file) as edge:
            assert edge.get("/").status == 502
        with started(
            start_edge,
            origin,
            ca_file,
            f"service.tls.client_certificate={client.certificate}",
            f"service.tls.client_key={client.key}",
        ) as edge:
            assert edge.get("/").body == b"hello"


def test_token_goes_to_upstream_and_nowhere_else(start_edge: StartEdge, tmp_path: Path) -> None:
    seen: list[dict[str, str]] = []

    def look(talk: Talk) -> None:
        while (request := talk.head()) is not None:
            seen.append(request[1])
            talk.send(NO_STORE)

    token = tmp_path / "token"
    token.write_text("secret-word\n")
    settings = (f"service.token.file={token}", "service.token.header=x-edge-token")
    with KeepingOrigin(look) as origin, started(start_edge, origin, *settings) as edge:
        answers = [edge.get("/a"), edge.request("DELETE", "/b", x_edge_token="mine")]
        assert "secret-word" not in edge.log()
    assert {fields["x-edge-token"] for fields in seen} == {"secret-word"}
    assert all("secret-word" not in str(answer.headers) for answer in answers)


def test_token_that_cannot_be_read_is_said_at_the_start(
    start_edge: StartEdge, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError) as caught:
        start_edge("http://127.0.0.1:9", "--set", f"service.token.file={tmp_path / 'none'}")
    assert "cannot read the token" in str(caught.value)


# Where nothing may be asked


def outcome(
    upstream_url: str, url: str, addresses: list[str], **service: Any
) -> FillEnded | FillFailed:
    """What becomes of a fill, with names that lead where the test says."""
    events: list[Event] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        over = asyncio.Event()
        config = EdgeConfig(upstream=upstream_url, **service)
        bodies = Bodies(None, events.append, memory_object_bytes_max=0)

        def tell(event: Event) -> None:
            events.append(event)
            if isinstance(event, FillEnded | FillFailed):
                over.set()

        async def look_up(host: str, port: int) -> list[str]:
            return addresses

        upstream = Upstream(
            config,
            Services(config),
            bodies,
            tell,
            lambda work, name: loop.create_task(work, name=name),
            lookup=look_up,
        )
        upstream.start(StartFill(fill_id=1, url=url, headers=(), priority="demand"))
        async with asyncio.timeout(LIMIT_S):
            await over.wait()
        upstream.close()
        await bodies.close()

    asyncio.run(main())
    last = events[-1]
    assert isinstance(last, FillEnded | FillFailed)
    return last


def test_only_configured_upstreams_are_ever_asked() -> None:
    asked: list[int] = []

    def note(talk: Talk) -> None:
        asked.append(talk.number)
        serve_all(talk)

    with KeepingOrigin(note) as origin:
        for url in (
            origin.url.replace("127.0.0.1", "127.0.0.2") + "/a",
            f"http://127.0.0.1:{origin.port + 1}/a",
            origin.url.replace("http:", "https:") + "/a",
            "http://origin.example@" + origin.url.removeprefix("http://") + "/a",
            "http://169.254.169.254/latest/meta-data",
        ):
            end = outcome(origin.url, url, ["127.0.0.1"])
            assert isinstance(end, FillFailed), url
            assert end.cause == "refused"
        assert asked == []
        assert isinstance(outcome(origin.url, origin.url + "/a", []), FillEnded)


def test_name_that_leads_to_this_machine_is_not_followed() -> None:
    with KeepingOrigin(serve_all) as origin:
        url = f"http://origin.example:{origin.port}"
        end = outcome(url, url + "/a", ["127.0.0.1"])
        assert isinstance(end, FillFailed)
        assert (end.cause, "allow_private" in end.detail) == ("refused", True)


def test_address_that_does_not_answer_costs_the_others_little() -> None:
    with KeepingOrigin(serve_all) as origin:
        url = f"http://localhost:{origin.port}"
        assert isinstance(outcome(url, url + "/a", ["::1", "127.0.0.1"]), FillEnded)
        assert isinstance(outcome(url, url + "/a", ["192.0.2.1", "127.0.0.1"]), FillEnded)
