"""What upstream is sent of a client's fields counts, whether upstream says so or not."""

from __future__ import annotations

import pytest

from cache.http.headers import get_all
from edge.config import ServiceRules
from edge.effects import Commit, ServeFill, ServeObject, StartFill, UpdateStored
from edge.events import FillHeaders, Headers
from tests.edge_bench import MAX_AGE, Bench, one

EVIL, GOOD = (("origin", "https://evil"),), (("origin", "https://good"),)


def answered(bench: Bench, sent: Headers, *fields: tuple[str, str]) -> Headers:
    """Fetch /a for such a client; what it was stored with."""
    started = bench.ask("/a", sent)
    bench.head(started, (*MAX_AGE, *fields))
    return one(bench.end(started), Commit).stored.headers


def admitted(sent: Headers) -> tuple[str, str]:
    """As an upstream answers that admits whoever asks, without saying Vary."""
    return ("access-control-allow-origin", dict(sent).get("origin", "null"))


def test_origin_that_upstream_reflects_poisons_nobody() -> None:
    bench = Bench()
    assert ("vary", "origin") in answered(bench, EVIL, admitted(EVIL))
    assert bench.hit("/a", GOOD) is None
    answered(bench, GOOD, admitted(GOOD))
    for sent in (EVIL, GOOD):
        hit = bench.hit("/a", sent)
        assert hit is not None
        assert get_all(hit.headers, "access-control-allow-origin") == (dict(sent)["origin"],)
    assert bench.hit("/a") is None  # nor does one without Origin get another's
    answered(bench, ())
    assert bench.hit("/a") is not None
    assert bench.hit("/a", GOOD) is not None


def test_origin_that_upstream_does_not_admit_spoils_the_answer_for_nobody() -> None:
    bench = Bench()
    answered(bench, EVIL)
    assert bench.hit("/a", GOOD) is None
    assert bench.hit("/a") is None


@pytest.mark.parametrize("sent", [(), EVIL])
def test_upstream_that_admits_every_origin_is_stored_once(sent: Headers) -> None:
    bench = Bench()
    stored = answered(bench, sent, ("access-control-allow-origin", "*"))
    assert get_all(stored, "vary") == ()
    for other in ((), EVIL, GOOD):
        assert bench.hit("/a", other) is not None
    assert bench.core.find_plain(bench.request("/a", GOOD)) is not None


def test_upstream_that_knows_no_origins_is_stored_once() -> None:
    bench = Bench()
    assert get_all(answered(bench, ()), "vary") == ()
    assert bench.hit("/a", GOOD) is not None


def test_waiters_with_another_origin_are_fetched_for_on_their_own() -> None:
    bench = Bench()
    started = bench.ask("/a", EVIL)
    bench.ask("/a", GOOD)
    effects = bench.head(started, (*MAX_AGE, admitted(EVIL)))
    assert one(effects, ServeFill).request_id == 1
    assert GOOD[0] in one(effects, StartFill).headers


def test_origin_goes_on_counting_when_a_304_names_another_vary() -> None:
    bench = Bench()
    answered(bench, GOOD, admitted(GOOD))
    bench.now_s = 61.0
    fill_id = one(bench.ask("/a", GOOD), StartFill).fill_id
    fresh = (*MAX_AGE, ("vary", "x-none"))
    effects = bench.feed(FillHeaders(fill_id=fill_id, status=304, headers=fresh))
    one(effects, ServeObject)
    assert "origin" in ", ".join(get_all(one(effects, UpdateStored).stored.headers, "vary"))
    assert bench.hit("/a", EVIL) is None


def test_every_named_field_counts() -> None:
    bench = Bench(service=ServiceRules(request_headers_allow=("x-device",)))
    assert ("vary", "x-device") in answered(bench, (("x-device", "tv"),))
    assert bench.hit("/a", (("x-device", "phone"),)) is None
    assert bench.hit("/a", (("x-device", "tv"), ("accept", "*/*"))) is not None


def test_where_all_fields_pass_vary_alone_decides() -> None:
    bench = Bench(service=ServiceRules(request_headers_allow=("*",)))
    assert get_all(answered(bench, EVIL, admitted(EVIL)), "vary") == ()
    assert bench.hit("/a", GOOD) is not None


def test_accept_is_not_sent_for_everyone_by_default() -> None:
    started = one(Bench().ask("/a", (("accept", "text/evil"), ("accept-language", "x"))), StartFill)
    assert {name for name, _ in started.headers} == {"accept-encoding"}
