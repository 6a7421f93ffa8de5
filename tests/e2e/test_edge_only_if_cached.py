"""What a client can learn of an edge's store without a fetch: HEAD with only-if-cached
(RFC 9111, 5.2.1.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.e2e.conftest import FaultyOrigin, StartEdge

BODY = b"\x5a" * 50_000


def test_head_says_what_is_held_and_fetches_nothing(
    origin: FaultyOrigin, start_edge: StartEdge
) -> None:
    origin.serve("/held", BODY, content_type="video/mp4")
    origin.serve("/unheld", BODY, content_type="video/mp4")
    with start_edge(origin.url) as edge:
        edge.get("/held")
        # The first answer teaches the way for hits, on which the second is served.
        held = [edge.request("HEAD", "/held", cache_control="only-if-cached") for _ in range(2)]
        unheld = edge.request("HEAD", "/unheld", cache_control="only-if-cached")
    for answer in held:
        assert (answer.status, answer.body) == (200, b"")
        assert answer.is_hit
        assert answer.headers["content-length"] == str(len(BODY))
    assert (unheld.status, unheld.body) == (504, b"")
    assert not unheld.is_hit
    assert origin.count("/held") == 1
    assert origin.count("/unheld") == 0
