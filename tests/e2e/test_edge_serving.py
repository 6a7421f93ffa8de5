"""One edge in front of an origin: what is asked for once and what is not, and what clients see."""

from __future__ import annotations

import concurrent.futures
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from tests.e2e.conftest import EdgeProcess, Exchange, FaultyOrigin, StartEdge

LIMIT_S = 20.0
BODY = bytes(range(256)) * 4000  # a megabyte, each position told from its neighbours


@pytest.fixture(scope="module")
def edge(
    origin: FaultyOrigin, start_edge: StartEdge, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EdgeProcess]:
    """One for all tests of this file that need nothing special of it."""
    store = tmp_path_factory.mktemp("shared") / "store"
    with start_edge(origin.url, "--store", str(store)) as process:
        yield process


def test_second_request_is_a_hit_with_the_same_bytes(
    origin: FaultyOrigin, edge: EdgeProcess
) -> None:
    origin.serve("/second", BODY, content_type="video/mp4")
    first, second = edge.get("/second"), edge.get("/second")
    assert (first.status, first.body) == (200, BODY)
    assert "fwd=uri-miss" in first.cache_status
    assert "stored" in first.cache_status
    assert second.is_hit
    assert second.body == BODY
    assert second.headers["content-type"] == "video/mp4"
    assert int(second.headers["age"]) >= 0
    assert "date" in second.headers
    assert origin.count("/second") == 1


def test_equal_misses_are_one_fetch_and_nobody_waits_for_its_end(
    origin: FaultyOrigin, edge: EdgeProcess
) -> None:
    may_finish = threading.Event()

    def slowly(exchange: Exchange) -> None:
        exchange.head(content_length=2 * len(BODY), cache_control="max-age=60")
        exchange.send(BODY)
        assert may_finish.wait(LIMIT_S)
        exchange.send(BODY)

    origin.routes["/collapsed"] = slowly
    client_count = 12
    first_parts = threading.Barrier(client_count + 1)

    def client() -> bytes:
        connection = edge.connect()
        connection.request("GET", "/collapsed")
        answer = connection.getresponse()
        part = answer.read(1000)
        first_parts.wait(LIMIT_S)  # all clients have bytes while the origin holds the rest back
        rest = answer.read()
        connection.close()
        return part + rest

    with concurrent.futures.ThreadPoolExecutor(client_count) as pool:
        clients = [pool.submit(client) for _ in range(client_count)]
        first_parts.wait(LIMIT_S)
        assert not may_finish.is_set()
        may_finish.set()
        assert all(one.result(LIMIT_S) == BODY + BODY for one in clients)
    assert origin.count("/collapsed") == 1
    assert edge.get("/collapsed").is_hit


def test_large_object_streams_from_disk_to_clients_that_join_late(
    origin: FaultyOrigin, edge: EdgeProcess
) -> None:
    parts = 24  # beyond what is held in memory while it is being fetched
    may_finish = threading.Event()

    def slowly(exchange: Exchange) -> None:
        exchange.head(content_length=parts * len(BODY), cache_control="max-age=60")
        for _ in range(parts - 1):
            exchange.send(BODY)
        assert may_finish.wait(LIMIT_S)
        exchange.send(BODY)

    origin.routes["/large"] = slowly
    early, late = edge.connect(), edge.connect()
    early.request("GET", "/large")
    head = early.getresponse()
    received = head.read((parts - 1) * len(BODY))
    late.request("GET", "/large")
    late_head = late.getresponse()
    assert "collapsed" in (late_head.getheader("cache-status") or "")
    assert late_head.read(len(BODY)) == BODY
    may_finish.set()
    assert received + head.read() == BODY * parts
    assert late_head.read() == BODY * (parts - 1)
    late.close()
    early.close()
    assert origin.count("/large") == 1
    again = edge.get("/large", range=f"bytes={len(BODY) - 2}-{len(BODY) + 1}")
    assert again.is_hit, edge.log()
    assert again.body == BODY[-2:] + BODY[:2]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("bytes=0-9", BODY[:10]),
        ("bytes=1000000-", BODY[1_000_000:]),
        ("bytes=-7", BODY[-7:]),
        ("bytes=300000-700000", BODY[300_000:700_001]),
    ],
)
def test_range_of_a_stored_object(
    origin: FaultyOrigin, edge: EdgeProcess, asked: str, expected: bytes
) -> None:
    origin.serve("/ranges", BODY)
    edge.get("/ranges")
    part = edge.get("/ranges", range=asked)
    assert part.status == 206
    assert part.is_hit
    assert part.body == expected
    assert part.headers["content-range"].endswith(f"/{len(BODY)}")
    assert origin.count("/ranges") == 1


def test_range_miss_fetches_the_whole_once_and_answers_the_part(
    origin: FaultyOrigin, edge: EdgeProcess
) -> None:
    origin.serve("/range-miss", BODY)
    part = edge.get("/range-miss", range="bytes=500-599")
    assert (part.status, part.body) == (206, BODY[500:600])
    edge.wait_status(lambda status: status["fills_in_flight"] == 0)
    assert edge.get("/range-miss").is_hit
    assert "range" not in origin.seen[-1].headers


def test_range_past_the_end_is_refused(origin: FaultyOrigin, edge: EdgeProcess) -> None:
    origin.serve("/past", b"short")
    edge.get("/past")
    refused = edge.get("/past", range="bytes=5-9")
    assert refused.status == 416
    assert refused.headers["content-range"] == "bytes */5"


def test_conditional_request_is_answered_without_the_origin(
    origin: FaultyOrigin, edge: EdgeProcess
) -> None:
    origin.serve("/conditional", BODY, etag='"one"')
    edge.get("/conditional")
    same = edge.get("/conditional", if_none_match='"one"')
    other = edge.get("/conditional", if_none_match='"two"')
    assert (same.status, same.body) == (304, b"")
    assert same.headers["etag"] == '"one"'
    assert (other.status, other.body) == (200, BODY)
    assert origin.count("/conditional") == 1


def test_head_has_the_length_and_no_body(origin: FaultyOrigin, edge: EdgeProcess) -> None:
    origin.serve("/head", BODY)
    missed = edge.request("HEAD", "/head")
    edge.get("/head")
    hit = edge.request("HEAD", "/head")
    for answer in (missed, hit):
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["content-length"] == str(len(BODY))
    assert hit.is_hit


@pytest.mark.parametrize("directive", ["no-store", "private"])
def test_what_must_not_be_stored_is_not(
    origin: FaultyOrigin, edge: EdgeProcess, directive: str
) -> None:
    origin.serve(f"/{directive}", b"mine", cache_control=directive)
    answers = [edge.get(f"/{directive}") for _ in range(3)]
    assert [answer.body for answer in answers] == [b"mine"] * 3
    assert not any(answer.is_hit for answer in answers)
    assert origin.count(f"/{directive}") == 3


def test_stale_object_is_renewed_by_its_validator(origin: FaultyOrigin, edge: EdgeProcess) -> None:
    def by_etag(exchange: Exchange) -> None:
        if exchange.headers.get("if-none-match") == '"v1"':
            exchange.head(304, etag='"v1"', cache_control="max-age=60")
        else:
            exchange.reply(BODY, etag='"v1"', cache_control="max-age=0")

    origin.routes["/renewed"] = by_etag
    edge.get("/renewed")
    renewed = edge.get("/renewed")
    assert (renewed.status, renewed.body) == (200, BODY)
    assert "fwd-status=304" in renewed.cache_status
    assert edge.get("/renewed").is_hit
    assert origin.count("/renewed") == 2


def test_upload_passes_through_both_ways(origin: FaultyOrigin, edge: EdgeProcess) -> None:
    def echo(exchange: Exchange) -> None:
        exchange.reply(exchange.method.encode() + exchange.body, status=201)

    origin.routes["/upload"] = echo
    answer = edge.request("POST", "/upload", BODY)
    assert (answer.status, answer.body) == (201, b"POST" + BODY)
    assert "fwd=method" in answer.cache_status


def test_client_that_waits_for_continue_gets_it(origin: FaultyOrigin, edge: EdgeProcess) -> None:
    origin.routes["/continue"] = lambda exchange: exchange.reply(exchange.body)
    with socket.create_connection(("127.0.0.1", edge.port), timeout=LIMIT_S) as client:
        client.sendall(
            b"PUT /continue HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n"
            b"expect: 100-continue\r\nconnection: close\r\n\r\n"
        )
        stream = client.makefile("rb")
        assert stream.readline().startswith(b"HTTP/1.1 100")
        assert stream.readline() == b"\r\n"
        client.sendall(b"body")
        answer = stream.read()
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(b"\r\n\r\nbody")


def test_redirects_and_compressed_bodies_are_passed_as_they_are(
    origin: FaultyOrigin, edge: EdgeProcess
) -> None:
    origin.serve("/moved", b"", status=302, location="http://elsewhere.invalid/x")
    origin.serve("/packed", b"\x1f\x8b not really", content_encoding="gzip")
    moved, packed = edge.get("/moved"), edge.get("/packed")
    assert (moved.status, moved.headers["location"]) == (302, "http://elsewhere.invalid/x")
    assert packed.body == b"\x1f\x8b not really"
    assert packed.headers["content-encoding"] == "gzip"


def test_body_of_unknown_length_is_stored_whole(origin: FaultyOrigin, edge: EdgeProcess) -> None:
    def chunked(exchange: Exchange) -> None:
        exchange.head(transfer_encoding="chunked", cache_control="max-age=60")
        exchange.send(b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")

    origin.routes["/chunked"] = chunked
    assert edge.get("/chunked").body == b"hello world"
    edge.wait_status(lambda status: status["fills_in_flight"] == 0)
    again = edge.get("/chunked")
    assert again.is_hit, edge.log()
    assert again.headers["content-length"] == "11"


def test_requests_on_one_connection_are_answered_in_order(
    origin: FaultyOrigin, edge: EdgeProcess
) -> None:
    for number in range(3):
        origin.serve(f"/pipelined-{number}", str(number).encode() * 10)
    with socket.create_connection(("127.0.0.1", edge.port), timeout=LIMIT_S) as client:
        heads = [f"GET /pipelined-{number} HTTP/1.1\r\nhost: x\r\n" for number in range(3)]
        client.sendall(("\r\n".join(heads) + "connection: close\r\n\r\n").encode())
        text = client.makefile("rb").read()
    positions = [text.index(str(number).encode() * 10) for number in range(3)]
    assert positions == sorted(positions)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /ok HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ncontent-length: 4\r\n",
        b"POST /ok HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n",
        b"POST /ok HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n",
        b"GET /ok HTTP/1.1\r\nhost : x\r\n",
        b"GET /ok HTTP/1.1\r\nhost: x\r\nbad\x00name: y\r\n",
        b"GET /../../etc/passwd HTTP/1.1\r\nhost: x\r\n",
        b"GET /%2e%2e/x HTTP/1.1\r\nhost: x\r\n",
        b"GET /a%0d%0ab HTTP/1.1\r\nhost: x\r\n",
        b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nhost: x\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nhost: x\r\n",
        b"GET /ok HTTP/1.1\r\nhost: x\r\nlong: " + b"a" * 70_000 + b"\r\n",
        b"GET /ok HTTP/1.1\r\nhost: x\r\n" + b"many: x\r\n" * 3_000,
        b"GET http://elsewhere.invalid/ok HTTP/1.1\r\nhost: x\r\n",
        b"TRACE /ok HTTP/1.1\r\nhost: x\r\n",
        b"CONNECT x:80 HTTP/1.1\r\nhost: x\r\n",
        b"nonsense\r\n",
    ],
    ids=lambda head: head[:40].decode("latin-1"),
)
def test_bad_request_is_refused_and_asks_nothing_of_the_origin(
    origin: FaultyOrigin, edge: EdgeProcess, head: bytes
) -> None:
    seen_before = len(origin.seen)
    with socket.create_connection(("127.0.0.1", edge.port), timeout=LIMIT_S) as client:
        client.sendall(head + b"connection: close\r\n\r\n")
        answer = client.makefile("rb").read()
        status_line = answer.split(b"\r\n")[0].split()
    assert b"aiohttp" not in answer.lower()
    assert status_line[1][:1] in (b"4", b"5")
    assert status_line[1] not in (b"500", b"502", b"504")
    assert len(origin.seen) == seen_before
    assert edge.get("/.nearcast/health").status == 200


def test_restart_keeps_what_is_stored(
    origin: FaultyOrigin, start_edge: StartEdge, tmp_path: Path
) -> None:
    origin.serve("/kept", BODY)
    store = ("--store", str(tmp_path / "store"))
    with start_edge(origin.url, *store) as before:
        before.get("/kept")
        assert before.stop() == 0
    with start_edge(origin.url, *store) as after:
        answer = after.get("/kept")
        assert answer.is_hit
        assert answer.body == BODY
        assert after.status()["object_count"] == 1
    assert origin.count("/kept") == 1


def test_without_a_store_objects_live_in_memory(
    origin: FaultyOrigin, start_edge: StartEdge
) -> None:
    origin.serve("/volatile", BODY)
    with start_edge(origin.url) as process:
        assert "in memory" in process.ready_line
        process.get("/volatile")
        assert process.get("/volatile").body == BODY
        assert process.get("/volatile", range="bytes=-3").body == BODY[-3:]
    assert origin.count("/volatile") == 1


def test_metrics_and_status_agree(origin: FaultyOrigin, start_edge: StartEdge) -> None:
    origin.serve("/measured", BODY)
    with start_edge(origin.url) as process:
        for _ in range(3):
            process.get("/measured")
        process.wait_status(lambda status: status["answers_store"] == 2)
        text = process.get("/metrics").body.decode()
        status = process.status()
        assert process.get("/.nearcast/health").body == b'{"status": "ok"}\n'
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["nearcast_edge_answers_total", "store"] == 2
    assert samples["nearcast_edge_client_bytes_total",] == status["client_bytes"] == 3 * len(BODY)
    assert samples["nearcast_edge_origin_bytes_total", "demand"] == len(BODY)
    assert status["byte_hit_ratio"] == pytest.approx(2 / 3)
    assert status["origin_bytes"] == len(BODY)


def test_request_through_a_local_proxy_does_not_see_the_status(
    origin: FaultyOrigin, edge: EdgeProcess
) -> None:
    assert edge.get("/metrics").status == 200
    assert edge.get("/metrics", x_forwarded_for="192.0.2.1").status == 404  # the origin's answer
    assert origin.count("/metrics") == 1


def test_every_metric_is_explained(edge: EdgeProcess) -> None:
    page = Path(__file__).parents[2] / "docs" / "metrics.md"
    text = page.read_text()
    families = text_string_to_metric_families(edge.get("/metrics").body.decode())
    names = {family.name for family in families}
    assert names
    assert sorted(name for name in names if f"`{name}" not in text) == []


def test_admin_address_serves_status_and_the_main_port_does_not(
    origin: FaultyOrigin, start_edge: StartEdge
) -> None:
    with start_edge(origin.url, "--admin", "127.0.0.1:0") as process:
        assert process.get("/.nearcast/status").status == 404  # the origin's answer
        assert origin.count("/.nearcast/status") == 1
        admin_port = int(process.ready_line.rpartition(":")[2].strip(")\n"))
        with socket.create_connection(("127.0.0.1", admin_port), timeout=LIMIT_S) as client:
            client.sendall(b"GET /.nearcast/status HTTP/1.0\r\n\r\n")
            assert b'"uptime_s"' in client.makefile("rb").read()
