"""Purging: by URL, prefix and tag, softly and hard, with fetches under way."""

from __future__ import annotations

from typing import Literal

import pytest

from edge import purge as purging
from edge.config import ServiceConfig, ServiceRules
from edge.effects import (
    Commit,
    DropObject,
    Effect,
    PurgeDone,
    ServeFill,
    ServeObject,
    StartFill,
    UpdateStored,
)
from edge.events import ClientLeft, FillHeaders, Headers, Purge, Restored
from edge.tags import TAGS_MAX, TagIndex, tags_of
from tests.edge_bench import MAX_AGE, UPSTREAM, Bench, one

Kind = Literal["url", "prefix", "tag"]


def tagged(*tags: str, seconds: int = 60) -> Headers:
    return (
        ("cache-control", f"max-age={seconds}, stale-while-revalidate=30"),
        ("etag", '"v1"'),
        ("surrogate-key", " ".join(tags)),
    )


def purge(bench: Bench, kind: Kind, value: str, *, soft: bool = False) -> list[Effect]:
    return bench.feed(Purge(purge_id=7, kind=kind, value=value, is_soft=soft))


def count(bench: Bench, kind: Kind, value: str, *, soft: bool = False) -> int:
    return one(purge(bench, kind, value, soft=soft), PurgeDone).count


def test_tags_are_read_from_both_fields() -> None:
    headers = (("surrogate-key", "a  b a"), ("cache-tag", "c, d e,,a"), ("cache-tag", "f"))
    assert tags_of(headers) == ("a", "b", "c", "d e", "f")


def test_tag_index_forgets_what_left_and_follows_changed_fields() -> None:
    index = TagIndex()
    index.put("1", tagged("a", "b"))
    index.put("2", tagged("b"))
    index.put("1", tagged("b", "c"))
    assert [list(index.find(tag)) for tag in "abc"] == [[], ["2", "1"], ["1"]]
    index.remove("1")
    index.remove("2")
    assert len(index) == 0


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("url", "/a"),
        ("url", "http://any.example:81/a"),
        ("url", UPSTREAM + "/a"),
        ("url", "/a?CMCD=bl%3D1"),
        ("prefix", "/"),
        ("prefix", "/a"),
        ("prefix", "https://any.example/a"),
        ("prefix", UPSTREAM + "/a"),
        ("tag", "red"),
    ],
)
def test_purged_is_fetched_again(kind: Kind, value: str) -> None:
    bench = Bench()
    commit = bench.store(headers=tagged("red", "blue"))
    effects = purge(bench, kind, value)
    assert one(effects, DropObject).object_id == commit.stored.object_id
    assert one(effects, PurgeDone) == PurgeDone(purge_id=7, count=1)
    assert bench.hit() is None
    assert "if-none-match" not in dict(one(bench.ask(), StartFill).headers)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("url", "/b"),
        ("url", "/a?x=1"),
        ("url", "/"),
        ("prefix", "/ab"),
        ("prefix", "/A"),
        ("tag", "re"),
        ("tag", "Red"),
        ("tag", "red blue"),
    ],
)
def test_what_is_not_meant_stays(kind: Kind, value: str) -> None:
    bench = Bench()
    bench.store(headers=tagged("red", "blue"))
    assert count(bench, kind, value) == 0
    assert bench.hit() is not None


def test_all_variants_of_a_url_go() -> None:
    bench = Bench(service=ServiceRules(request_headers_allow=("accept-language",)))
    for language in ("de", "en"):
        fields = (("accept-language", language),)
        started = bench.ask("/a", fields)
        bench.head(started, (*MAX_AGE, ("vary", "accept-language")))
        bench.end(started)
    assert count(bench, "url", "/a") == 2


def test_softly_purged_is_asked_about_and_confirmed() -> None:
    bench = Bench()
    bench.store()
    effects = purge(bench, "url", "/a", soft=True)
    assert one(effects, UpdateStored).stored.stale_from_wall_s is not None
    assert one(effects, PurgeDone).count == 1
    assert bench.hit() is None
    started = bench.ask()
    assert ("if-none-match", '"v1"') in one(started, StartFill).headers
    fill_id = one(started, StartFill).fill_id
    effects = bench.feed(FillHeaders(fill_id=fill_id, status=304, headers=MAX_AGE))
    one(effects, ServeObject)
    assert one(effects, UpdateStored).stored.stale_from_wall_s is None
    assert bench.hit() is not None


def test_softly_purged_stands_in_while_it_is_renewed() -> None:
    bench = Bench()
    bench.store(headers=tagged("red"))
    bench.now_s = 10.0
    assert count(bench, "tag", "red", soft=True) == 1
    bench.now_s = 39.0
    effects = bench.ask()
    one(effects, ServeObject)
    one(effects, StartFill)


def test_soft_purge_outlives_a_restart() -> None:
    bench = Bench()
    bench.store()
    stored = one(purge(bench, "url", "/a", soft=True), UpdateStored).stored
    again = Bench()
    again.feed(Restored(objects=(stored,)))
    assert again.hit() is None
    assert ("if-none-match", '"v1"') in one(again.ask(), StartFill).headers


def test_tags_outlive_a_restart() -> None:
    bench = Bench()
    stored = bench.store(headers=tagged("red")).stored
    again = Bench()
    again.feed(Restored(objects=(stored,)))
    assert count(again, "tag", "red") == 1


def test_clients_do_not_see_tags() -> None:
    bench = Bench()
    started = bench.ask()
    assert "surrogate-key" not in dict(one(bench.head(started, tagged("red")), ServeFill).headers)
    bench.end(started)
    hit = bench.hit()
    assert hit is not None
    assert "surrogate-key" not in dict(hit.headers)


# Fetches under way


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize(("kind", "value"), [("url", "/a"), ("prefix", "/"), ("tag", "red")])
@pytest.mark.parametrize("is_headed", [False, True])
def test_fetch_under_way_serves_who_waits_and_is_not_kept(
    kind: Kind, value: str, soft: bool, is_headed: bool
) -> None:
    bench = Bench()
    started = bench.ask()
    waiting = bench.ask()
    assert waiting == []
    effects = bench.head(started, tagged("red")) if is_headed else []
    assert count(bench, kind, value, soft=soft) == 0
    later = bench.ask()
    one(later, StartFill)  # who asks after the purge gets what is there after the purge
    if not is_headed:
        effects = bench.head(started, tagged("red"))
    assert len([effect for effect in effects if isinstance(effect, ServeFill)]) == 2
    assert not any(isinstance(effect, Commit) for effect in bench.end(started))
    bench.head(later, tagged("red"))
    one(bench.end(later), Commit)


def test_fetch_of_something_else_is_kept() -> None:
    bench = Bench()
    started = bench.ask()
    purge(bench, "tag", "blue")
    purge(bench, "url", "/b")
    bench.head(started, tagged("red"))
    one(bench.end(started), Commit)


@pytest.mark.parametrize(("kind", "value"), [("url", "/a"), ("tag", "red")])
def test_confirmation_begun_before_a_soft_purge_confirms_nothing(kind: Kind, value: str) -> None:
    bench = Bench()
    bench.store(headers=tagged("red", seconds=0))
    bench.now_s = 40.0
    started = bench.ask()
    assert count(bench, kind, value, soft=True) == 1
    effects = bench.feed(
        FillHeaders(fill_id=one(started, StartFill).fill_id, status=304, headers=tagged("red"))
    )
    one(effects, StartFill)
    assert not any(isinstance(effect, ServeObject) for effect in effects)


def test_client_that_leaves_a_purged_fetch_ends_it() -> None:
    bench = Bench()
    started = bench.ask()
    bench.head(started)
    purge(bench, "url", "/a")
    effects = bench.feed(ClientLeft(request_id=bench.last_id))
    assert not any(isinstance(effect, Commit) for effect in effects)
    assert bench.core.status(0.0).fills_in_flight == 0


# Long work


def test_long_purge_leaves_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purging, "SLICE_LOOKS", 3)
    bench = Bench()
    for number in range(10):
        bench.store(f"/x/{number}")
    effects = purge(bench, "prefix", "/x/")
    assert not any(isinstance(effect, PurgeDone) for effect in effects)
    bench.store("/x/new")
    seen: list[Effect] = []
    for _ in range(10):
        assert bench.core.deadline_s() == bench.now_s
        bench.core.advance(bench.now_s)
        seen += bench.core.drain()
        if any(isinstance(effect, PurgeDone) for effect in seen):
            break
    assert one(seen, PurgeDone).count == 10
    assert bench.core.deadline_s() != bench.now_s
    assert bench.hit("/x/new") is not None
    assert all(bench.hit(f"/x/{number}") is None for number in range(10))


def test_purges_of_several_services_find_what_clients_mean() -> None:
    services = (
        ServiceConfig(name="vod", upstream="http://vod:1/v", hosts=("cdn.example",), path="/vod/"),
        ServiceConfig(name="live", upstream="http://live:1", hosts=("cdn.example",)),
    )
    bench = Bench(services=services)
    host = (("host", "cdn.example"),)

    def store(target: str) -> None:
        started = bench.ask(target, host)
        bench.head(started)
        bench.end(started)

    for target in ("/vod/a", "/vod/b", "/x"):
        store(target)
    assert count(bench, "url", "https://cdn.example/vod/a") == 1
    assert count(bench, "prefix", "https://cdn.example/vod/") == 1
    store("/vod/a")
    assert count(bench, "prefix", "https://cdn.example/v") == 1
    store("/vod/a")
    assert count(bench, "prefix", "https://cdn.example/") == 2
    assert count(bench, "prefix", "https://other.example/") == 0


def test_tags_of_an_object_are_bounded() -> None:
    many = " ".join(f"t{number}" for number in range(1000))
    assert len(tags_of((("surrogate-key", many),))) == TAGS_MAX
    assert tags_of((("cache-tag", "a, " + "x" * 1000),)) == ("a",)
