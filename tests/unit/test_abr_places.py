"""Where a title's bytes are under content steering: order, clones, parameters."""

from __future__ import annotations

from typing import Any

import pytest

from abr.places import OPTION_COUNT_MAX, Places, clone_url, with_params
from nearcast.media import Base
from nearcast.steering import PathwayClone, UriReplacement

MPD = "http://a.test:81/film/m.mpd"


def places(*groups: tuple[Base, ...], fallback: tuple[str, ...] = ()) -> Places:
    made = Places(MPD, fallback, lambda base: (base.priority, 0.0))
    made.learn(groups)
    return made


def base(url: str, pathway: str = "home", **more: Any) -> Base:
    return Base(url=url, pathway=pathway, **more)


def clone(name: str, base_id: str = "home", **rules: Any) -> PathwayClone:
    return PathwayClone(id=name, base_id=base_id, replacement=UriReplacement(**rules))


HOME = base("http://a.test:81/film/")


def test_order_of_pathways_comes_before_that_of_the_manifest() -> None:
    some = places((base("http://a.test/", "a"), base("http://b.test/", "b", priority=2)))
    assert some.options("http://a.test/1")[0] == "http://a.test/1"
    some.steer(("b", "unknown", "a"), (), has_deep_params=True)
    assert some.options("http://a.test/1") == ("http://b.test/1", "http://a.test/1")
    some.steer((), (), has_deep_params=True)
    assert some.options("http://a.test/1")[0] == "http://a.test/1"


def test_clone_is_at_another_host_under_the_same_path() -> None:
    some = places((HOME,))
    some.steer(
        ("b", "c", "home"),
        (clone("b", host="b.test:82"), clone("c", host="[::1]:83")),
        has_deep_params=True,
    )
    assert some.options("http://a.test:81/film/v/1.m4s?x=1") == (
        "http://b.test:82/film/v/1.m4s?x=1",
        "http://[::1]:83/film/v/1.m4s?x=1",
        "http://a.test:81/film/v/1.m4s?x=1",
    )
    assert some.pathway_of("http://b.test:82/film/v/1.m4s") == "b"
    assert some.pathway_of("http://a.test:81/film/v/1.m4s") == "home"
    assert some.pathway_of("http://stranger.test/film/v/1.m4s") == ""


def test_clone_that_is_home_itself_is_the_same_place() -> None:
    some = places((HOME,))
    some.steer(("b", "home"), (clone("b", host="a.test:81"),), has_deep_params=True)
    assert some.options("http://a.test:81/film/1") == ("http://a.test:81/film/1",)
    assert some.pathway_of("http://a.test:81/film/1") == "b", "what comes first in the order"


def test_clone_of_a_clone_and_clone_of_nothing() -> None:
    some = places((HOME,))
    clones = (clone("b", host="b.test"), clone("c", "b", host="c.test"), clone("d", "x", host="d"))
    some.steer(("c", "d", "b"), clones, has_deep_params=True)
    assert some.options("http://a.test:81/film/1") == (
        "http://c.test/film/1",
        "http://b.test/film/1",
        "http://a.test:81/film/1",
    )


def test_what_is_beside_the_bases_is_beside_their_clones() -> None:
    some = places((HOME,))
    some.steer(("b", "home"), (clone("b", host="b.test"),), has_deep_params=True)
    assert some.options("http://a.test:81/other/1")[0] == "http://b.test/other/1"
    assert some.options("http://far.test/film/1") == ("http://far.test/film/1",)


def test_parameters_go_with_everything_in_dash_and_with_playlists_in_hls() -> None:
    params = {"token": "a b", "x": "2"}
    for is_deep, expected in ((True, "?y=1&token=a%20b&x=2"), (False, "?x=1&y=1")):
        some = places((HOME,))
        some.steer(("b",), (clone("b", host="b.test", params=params),), has_deep_params=is_deep)
        assert (
            some.options("http://a.test:81/film/1?x=1&y=1")[0] == f"http://b.test/film/1{expected}"
        )
    some = places((base("http://a.test:81/film/v.m3u8"),))
    some.steer(("b",), (clone("b", host="b.test", params=params),), has_deep_params=False)
    asked = some.options("http://a.test:81/film/v.m3u8")[0]
    assert asked == "http://b.test/film/v.m3u8?token=a%20b&x=2"
    assert some.options("http://a.test:81/film/1.ts")[0] == "http://b.test/film/1.ts"


def test_playlists_by_name_are_taken_as_they_are_given() -> None:
    one = base("http://a.test:81/film/v1.m3u8", stable_id="v1")
    two = base("http://a.test:81/film/v2.m3u8", stable_id="v2")
    sound = base("http://a.test:81/film/en.m3u8", stable_id="en")
    some = places((one,), (two,), (sound,))
    made = clone(
        "b",
        host="b.test",
        variant_uris={"v1": "http://c.test/elsewhere/v1.m3u8"},
        rendition_uris={"en": "http://d.test/s/en.m3u8"},
        params={"t": "1"},
    )
    some.steer(("b", "home"), (made,), has_deep_params=False)
    assert some.options(one.url)[0] == "http://c.test/elsewhere/v1.m3u8?t=1"
    assert some.options(two.url)[0] == "http://b.test/film/v2.m3u8?t=1"
    assert some.options(sound.url)[0] == "http://d.test/s/en.m3u8?t=1"


def test_nothing_leads_from_https_to_http() -> None:
    safe = base("https://a.test/film/v1.m3u8", stable_id="v1")
    assert clone_url(safe, clone("b", host="b.test")) == "https://b.test/film/v1.m3u8"
    assert clone_url(safe, clone("b", variant_uris={"v1": "http://b.test/v1.m3u8"})) is None


@pytest.mark.parametrize("host", ["b.test:0", "b.test:99999", "[::1", "[1.2:::3]"])
def test_host_that_is_none_makes_no_clone(host: str) -> None:
    some = places((HOME,))
    some.steer(("b", "home"), (clone("b", host=host),), has_deep_params=True)
    assert some.options("http://a.test:81/film/1") == ("http://a.test:81/film/1",)


def test_options_are_bounded_and_what_the_manifest_says_is_always_among_them() -> None:
    some = places((HOME,))
    names = [f"e{number}" for number in range(40)]
    clones = [clone(name, host=f"{name}.test") for name in names]
    some.steer((*names, "home"), clones, has_deep_params=True)
    options = some.options("http://a.test:81/film/1")
    assert len(options) == OPTION_COUNT_MAX
    assert options[-1] == "http://a.test:81/film/1"
    assert options[0] == "http://e0.test/film/1"


def test_fallback_hosts_stay_beside_home() -> None:
    some = places((HOME,), fallback=("f.test",))
    some.steer(("b", "home"), (clone("b", host="b.test"),), has_deep_params=True)
    assert some.options("http://a.test:81/film/1") == (
        "http://b.test/film/1",
        "http://a.test:81/film/1",
        "http://f.test/film/1",
    )


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://a.test/", "http://a.test/?k=v%26"),
        ("http://a.test/?", "http://a.test/?k=v%26"),
        ("http://a.test/?k=1&a&b=%2F&k=2", "http://a.test/?a&b=%2F&k=v%26"),
        ("http://a.test/?%6b=1", "http://a.test/?k=v%26"),
    ],
)
def test_parameters_are_set_once_and_others_are_left_alone(url: str, expected: str) -> None:
    assert with_params(url, {"k": "v&"}) == expected
    assert with_params(with_params(url, {"k": "v&"}), {"k": "v&"}) == expected
    assert with_params(url, {}) == url
