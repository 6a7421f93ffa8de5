"""What the bench's cells make of what they saw, and what they ask for."""

from pathlib import Path

import msgspec
import pytest

from nearcast import cmcd
from nearcast.manifests import read_manifest
from nearcast.media import Presentation
from nearcast.messages import CATALOG_PATH, Catalog
from simulation.bench.cells.cold import forget
from simulation.bench.cells.collapse import collapsed
from simulation.bench.cells.connections import send_queue_bytes
from simulation.bench.cells.mixed import playlist, work_job, write_series
from simulation.bench.cells.variants import cmcd_asks, range_asks
from simulation.bench.generator import request_maker
from simulation.bench.processes import free_port
from simulation.bench.stage import SIZES_BYTES, plain_asks, size_text
from simulation.bench.waiters import Waited


def waited(asked_at_s: float, first_byte_at_s: float) -> Waited:
    return Waited(
        asked_at_s=asked_at_s, first_byte_at_s=first_byte_at_s, status="HTTP/1.1 200", body_bytes=1
    )


def test_a_wait_counts_from_when_the_bytes_were_there() -> None:
    early = waited(10.0, 10.504)  # before the origin's first byte at 10.5
    late = waited(10.8, 10.802)
    found = collapsed([early, early, late], 10.5, fetch_count=1)
    assert found.median_s == pytest.approx(0.004)
    assert collapsed([late], 10.5, fetch_count=1).p95_s == pytest.approx(0.002)


def test_the_send_queue_is_of_the_servers_side_and_port(tmp_path: Path) -> None:
    table = tmp_path / "tcp"
    table.write_text(
        "  sl  local_address rem_address   st tx_queue rx_queue\n"
        "   0: 0100007F:1F90 00000000:0000 0A 00000007:00000003 00:0\n"  # listening
        "   1: 0100007F:1F90 0100007F:C350 01 00000100:00000000 00:0\n"
        "   2: 0100007F:1F90 0100007F:C351 01 00000001:00000000 00:0\n"
        "   3: 0100007F:C350 0100007F:1F90 01 00000055:00000100 00:0\n"  # the client's side
    )
    assert send_queue_bytes(0x1F90, table) == 0x101


def test_every_cmcd_request_says_something_else_that_parses() -> None:
    for ask in (cmcd_asks(4096)[0][5], cmcd_asks(4096)[1][40]):
        requests = [request_maker(ask, 80)(number) for number in (12_300, 45_600)]
        for request, buffer_s in zip(requests, (12.3, 45.6), strict=True):
            head, *lines = request.decode().splitlines()
            headers = tuple(
                (name.lower(), value)
                for name, _, value in (line.partition(": ") for line in lines if line)
            )
            said = cmcd.from_request(head.split()[1], headers)
            assert said is not None
            assert said.buffer_s == pytest.approx(buffer_s)
            assert said.session_id


def test_ranges_name_the_length_that_must_come() -> None:
    asks = range_asks(4096)
    assert len({ask.headers for ask in asks}) == len(asks)
    for ask in asks:
        first = int(ask.headers.split("=")[1].split("-")[0])
        assert ask.size_bytes == 4096 - first > 0


def test_the_series_can_be_read_by_an_edge(tmp_path: Path) -> None:
    write_series(tmp_path)
    text = (tmp_path / CATALOG_PATH.lstrip("/")).read_bytes()
    catalogue = msgspec.json.decode(text, type=Catalog)
    assert catalogue.successors() == {"episode-0": "episode-1"}
    assert catalogue.titles[0].hls == playlist(0)
    url = f"http://origin{playlist(0)}"
    presentation = read_manifest((tmp_path / playlist(0).lstrip("/")).read_bytes(), url)
    assert isinstance(presentation, Presentation)
    assert len(presentation.video[0].segments) == 10
    watch = work_job(80, 1.0).asks[0]
    assert (tmp_path / watch.target.lstrip("/").partition("?")[0]).stat().st_size == (
        watch.size_bytes
    )


def test_a_file_is_forgotten_and_still_whole(tmp_path: Path) -> None:
    file = tmp_path / "object"
    file.write_bytes(b"x" * 100_000)
    assert 0.0 <= forget([file]) <= 1.0  # a file system in memory keeps its pages
    assert file.read_bytes() == b"x" * 100_000


def test_sizes_and_ports() -> None:
    assert [size_text(size) for size in SIZES_BYTES] == ["4 KB", "64 KB", "512 KB", "2 MB"]
    assert len({ask.target for ask in plain_asks(4096)}) == 32
    assert 0 < free_port() < 65_536
