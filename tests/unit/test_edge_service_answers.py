"""What a service says about its own answers."""

from __future__ import annotations

import pytest

from cache.http.headers import get_one
from edge.config.service import ServiceRules
from edge.effects import Commit, PassThrough, ServeFill, ServeInterim, ServeText, StartFill
from edge.events import FillFailed, FillInterim
from tests.edge_bench import MAX_AGE, Bench, one


def test_fields_for_the_node_alone_are_kept_but_not_shown() -> None:
    bench = Bench()
    started = bench.ask()
    served = one(bench.head(started, (*MAX_AGE, ("surrogate-key", "a b"))), ServeFill)
    assert get_one(served.headers, "surrogate-key") is None
    stored = one(bench.end(started), Commit).stored
    assert get_one(stored.headers, "surrogate-key") == "a b"
    hit = bench.hit()
    assert hit is not None
    assert get_one(hit.headers, "surrogate-key") is None


def test_a_service_has_lifetimes_of_its_own() -> None:
    bench = Bench(service=ServiceRules(default_freshness_s=7.0, stale_if_error_s=0.0))
    bench.store(headers=(("etag", '"a"'),))
    assert bench.hit() is not None
    bench.now_s = 8.0
    assert bench.hit() is None
    fill_id = one(bench.ask(), StartFill).fill_id
    answer = one(bench.feed(FillFailed(fill_id=fill_id, cause="timeout", detail="")), ServeText)
    assert answer.status == 504


def test_personal_requests_are_shared_only_where_upstream_sees_who_asks() -> None:
    authorised = (("authorization", "Basic x"),)
    bench = Bench(service=ServiceRules(request_headers_allow=("*",)))
    started = bench.ask("/a", authorised)
    assert authorised[0] in one(started, StartFill).headers
    bench.head(started, (("cache-control", "public, max-age=60"),))
    one(bench.end(started), Commit)
    assert bench.hit("/a") is not None
    started = bench.ask("/b", authorised)
    bench.head(started, MAX_AGE)
    assert not any(isinstance(effect, Commit) for effect in bench.end(started))


@pytest.mark.parametrize("status", [200, 403, 500, 503])
def test_what_was_made_for_one_who_said_who_he_is_is_shown_to_nobody_else(status: int) -> None:
    bench = Bench(service=ServiceRules(request_headers_allow=("*",)))
    started = bench.ask("/a", (("authorization", "Basic x"),))
    bench.ask("/a")
    fill_id = one(started, StartFill).fill_id
    hint = bench.feed(FillInterim(fill_id=fill_id, status=103, headers=()))
    assert one(hint, ServeInterim).request_id == 1
    effects = bench.head(started, MAX_AGE, status=status)
    assert one(effects, ServeFill).request_id == 1
    assert one(effects, PassThrough).request_id == 2
