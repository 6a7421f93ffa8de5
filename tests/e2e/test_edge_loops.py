"""An upstream that leads back to the edge: one request stays one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.ports import free_port

if TYPE_CHECKING:
    from tests.e2e.conftest import FaultyOrigin, StartEdge


def test_edge_that_is_its_own_upstream_refuses_the_second_round(start_edge: StartEdge) -> None:
    port = free_port()
    edge = start_edge(f"http://127.0.0.1:{port}", "--listen", f"127.0.0.1:{port}")

    assert edge.request("POST", "/a", b"body").status == 508
    assert edge.get("/b").status == 508
    assert edge.get("/c", cookie="a=b").status == 508
    assert edge.status()["request_count"] < 20


def test_tiers_of_edges_are_no_loop(origin: FaultyOrigin, start_edge: StartEdge) -> None:
    origin.serve("/tiered", b"tiered")
    inner = start_edge(origin.url)
    outer = start_edge(inner.url)

    assert outer.get("/tiered").body == b"tiered"
    assert "nearcast-" in origin.seen[-1].headers["via"]
    assert origin.seen[-1].headers["cdn-loop"].count("nearcast-") == 2
