"""Where a URL is fetched from, when several hosts have it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from abr.config import PlayerConfig, RetryConfig
from abr.events import ResponseFailed
from abr.hosts import HostHealth, Hosts
from abr.places import OPTION_COUNT_MAX
from nearcast.media import Base
from nearcast.seeds import Seeds

MPD = "http://a.test:81/film/m.mpd"
RETRY = RetryConfig()


def hosts(*fallback: str, generator: np.random.Generator | None = None) -> Hosts:
    return Hosts(MPD, RETRY, fallback, HostHealth(RETRY, generator))


def failure(**more: object) -> ResponseFailed:
    return ResponseFailed(request_id=1, detail="x", **more)  # type: ignore[arg-type]


def test_without_alternatives_a_url_is_its_own_only_option() -> None:
    only = hosts()
    assert only.options("http://a.test:81/x") == ("http://a.test:81/x",)
    only.failed("http://a.test:81/x", failure(), 0.0)
    assert only.pick(only.options("http://a.test:81/x"), 0.1, can_probe=False)


def test_fallback_hosts_have_the_same_paths_and_queries() -> None:
    some = hosts("b.test", "https://c.test:444")
    options = some.options("http://a.test:81/film/1.m4s?x=1")
    assert options == (
        "http://a.test:81/film/1.m4s?x=1",
        "http://b.test/film/1.m4s?x=1",
        "https://c.test:444/film/1.m4s?x=1",
    )
    assert some.options("http://stranger.test/1") == ("http://stranger.test/1",)


def test_manifest_found_at_a_fallback_keeps_the_order_of_preference() -> None:
    some = hosts("b.test")
    some.found_at("http://b.test/film/m.mpd")
    assert some.options("http://b.test/film/1")[0] == "http://a.test:81/film/1"
    some.found_at("http://elsewhere.test/film/m.mpd")
    assert some.options("http://elsewhere.test/film/1") == (
        "http://elsewhere.test/film/1",
        "http://b.test/film/1",
    )


def test_bases_are_exchanged_the_longest_first() -> None:
    some = hosts()
    some.learn(
        [
            (Base(url="http://a.test:81/film/"), Base(url="http://b.test/x/")),
            (Base(url="http://a.test:81/film/hd/"), Base(url="http://c.test/y/")),
        ]
    )
    assert some.options("http://a.test:81/film/1.m4s")[1] == "http://b.test/x/1.m4s"
    assert some.options("http://a.test:81/film/hd/1.m4s")[1] == "http://c.test/y/1.m4s"


def test_base_that_is_a_file_is_exchanged_as_a_whole() -> None:
    some = hosts()
    some.learn([(Base(url="http://a.test:81/f/one.mp4"), Base(url="http://b.test/two.mp4"))])
    assert some.options("http://a.test:81/f/one.mp4")[1] == "http://b.test/two.mp4"


def test_options_are_bounded() -> None:
    some = hosts(*(f"h{number}.test" for number in range(40)))
    assert len(some.options(MPD)) == OPTION_COUNT_MAX


def test_lower_priority_comes_first_and_weights_share_the_load() -> None:
    bases = (
        Base(url="http://last.test/", priority=2, weight=100.0),
        Base(url="http://one.test/", weight=1.0),
        Base(url="http://three.test/", weight=3.0),
    )
    first: Counter[str] = Counter()
    for seed in range(400):
        some = hosts(generator=Seeds(seed).stream("abr/test/hosts"))
        some.learn([bases])
        options = some.options("http://one.test/x")
        assert options[2] == "http://last.test/x"
        first[options[0]] += 1
    assert first["http://three.test/x"] / 400 == pytest.approx(0.75, abs=0.07)


def test_one_host_is_preferred_throughout() -> None:
    some = hosts(generator=Seeds(1).stream("abr/test/hosts"))
    some.learn(
        [tuple(Base(url=f"http://{host}.test/{number}/") for host in "abc") for number in range(20)]
    )
    preferred = {some.options(f"http://a.test/{number}/x")[0][:13] for number in range(20)}
    assert len(preferred) == 1


def test_failed_host_is_left_alone_then_on_probation_then_well() -> None:
    some = hosts("b.test")
    options = some.options(MPD)
    some.failed(options[0], failure(), 10.0)
    assert some.pick(options, 11.9, can_probe=True) == options[1]
    assert some.pick(options, 12.1, can_probe=False) == options[1]
    assert some.pick(options, 12.1, can_probe=True) == options[0]
    some.failed(options[0], failure(), 12.2)
    assert some.pick(options, 16.1, can_probe=True) == options[1], "twice as long"
    assert some.pick(options, 16.3, can_probe=True) == options[0]
    some.succeeded(options[0], options, 16.4)
    assert some.pick(options, 16.5, can_probe=False) == options[0]


def test_when_all_are_blocked_the_one_that_is_free_first_is_asked() -> None:
    some = hosts("b.test")
    options = some.options(MPD)
    some.failed(options[0], failure(status=503, retry_after_s=9.0), 0.0)
    some.failed(options[1], failure(), 1.0)
    assert not some.has_fresh(options, 1.5)
    assert some.pick(options, 1.5, can_probe=False) == options[1]
    assert some.not_before_s(options) == float("-inf")


@pytest.mark.parametrize(("status", "borne"), [(404, 1), (500, 0), (None, 0)])
def test_object_that_only_others_have_tells_against_the_host(
    status: int | None, borne: int
) -> None:
    some = hosts("b.test")
    for number in range(borne + 1):
        options = some.options(f"http://a.test:81/film/{number}")
        assert some.pick(options, 1.0, can_probe=False) == options[0]
        some.failed(options[0], failure(status=status, is_damage=status is None), 1.0)
        assert some.pick(options, 1.0, can_probe=False) == options[1]
        some.succeeded(options[1], options, 1.0)
    after = some.options("http://a.test:81/film/99")
    assert some.pick(after, 1.1, can_probe=False) == after[1]


def test_object_that_nobody_has_tells_against_no_host() -> None:
    some = hosts("b.test")
    options = some.options("http://a.test:81/film/1")
    for url in options:
        some.failed(url, failure(status=404), 1.0)
    after = some.options("http://a.test:81/film/2")
    assert some.pick(after, 1.1, can_probe=False) == after[0]


def test_waits_are_spread_and_the_same_again_with_the_same_seed() -> None:
    def waits(seed: int) -> list[float]:
        health = HostHealth(RETRY, Seeds(seed).stream("abr/v/hosts"))
        return [health.spread(8.0) for _ in range(50)]

    assert waits(1) == waits(1) != waits(2)
    assert all(6.0 <= wait_s <= 10.0 for wait_s in waits(1))
    assert max(waits(1)) - min(waits(1)) > 3.0


def test_memory_of_failures_is_bounded() -> None:
    some = hosts("b.test")
    for number in range(5000):
        some.failed(f"http://a.test:81/{number}", failure(status=404), float(number))
        some.failed(f"http://h{number}.test/", failure(), float(number))
    assert len(some._marks) <= 256
    assert len(some._health._hosts) <= 65


@pytest.mark.parametrize(
    "text", ["", "a b", "http://", "a/b", "ftp://x", "u:p@h", "h:99999", "h?x"]
)
def test_nonsense_for_a_host_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="fallback_hosts"):
        PlayerConfig(fallback_hosts=(text,))
