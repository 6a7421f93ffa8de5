"""The rows a client is shown: whose they are, and what is on them."""

from __future__ import annotations

import msgspec
import pytest

from cache.http.headers import Headers
from edge.config import EdgeConfig, PrefetchConfig, TitlesConfig
from edge.core import EdgeCore
from edge.drivers.home import TITLES_PATH, Home
from edge.effects import FetchCatalog
from edge.events import ForgetViewer, Requested
from edge.media_map import StreamFormat
from edge.titles.home import Row
from edge.titles.popular import HALF_LIFE_S, LISTED_S, VIEWERS_MIN, Popular
from nearcast.record import NullRecorder
from tests.edge_bench import UPSTREAM
from tests.titles_world import Cinema

ON = TitlesConfig(model="model", home_rows=True)
PLAYER: Headers = (("host", "edge"), ("user-agent", "player"))


def rows(
    world: Cinema, client: str, headers: Headers = PLAYER, form: StreamFormat = "dash"
) -> list[str]:
    found = world.core.home_rows(client, headers, 10, form, world.now_s)
    return [row.manifest for row in found]


def path(film: str) -> str:
    return f"/media/{film}/manifest.mpd"


def crowd(world: Cinema, film: int, count: int = 3) -> None:
    """So many others take up a film."""
    for number in range(count):
        world.watch(film, 5.0, client=f"{film} {number}")


def liking(client: str) -> Cinema:
    """A world where this client's viewer has watched what others did too, and may like the rest."""
    world = Cinema(titles=ON)
    crowd(world, 1)
    world.watch(1, 31.0, client=client)
    world.say(e3=0.2, e2=0.1)
    return world


def test_a_viewer_of_whom_something_is_known_gets_what_the_model_says() -> None:
    world = liking("c")
    assert rows(world, "c") == [path("e3"), path("e2")]
    assert rows(world, "c", form="hls") == ["/media/e3/master.m3u8", "/media/e2/master.m3u8"]
    assert world.core.home_rows("c", PLAYER, 1, "dash", world.now_s) == (
        Row(name="Film e3", manifest=path("e3")),
    )


@pytest.mark.parametrize(
    ("client", "headers"),
    [
        ("somebody else", PLAYER),
        ("c", (("host", "edge"), ("user-agent", "another"))),
        ("c", (*PLAYER, ("X-Forwarded-For", "192.0.2.1"))),
    ],
)
def test_others_get_what_is_popular_and_nothing_of_anybodys_likes(
    client: str, headers: Headers
) -> None:
    assert rows(liking("c"), client, headers) == [path("e1")]


def test_of_viewers_who_share_an_address_nobody_learns_what_the_others_like() -> None:
    world = liking("c")
    world.watch(2, 31.0, client="c")  # while the first is still in the middle of a film
    assert rows(world, "c") == [path("e1")]


def test_what_was_watched_is_not_offered_and_a_forgotten_viewer_is_a_new_one() -> None:
    world = liking("c")
    world.watch_on(1, 40.0, client="c")
    world.watch(3, 5.0, client="c")
    world.say(e2=0.5)
    assert rows(world, "c") == [path("e2")]
    world.run(ForgetViewer(forget_id=1, client="c"))
    assert rows(world, "c") == [path("e1")]


def test_without_a_model_rows_hold_what_is_popular_here() -> None:
    world = Cinema(titles=TitlesConfig(home_rows=True), prefetch=PrefetchConfig())
    crowd(world, 2, 5)
    crowd(world, 1, 3)
    crowd(world, 3, 2)  # two are too few to speak of
    assert rows(world, "nobody yet") == [path("e2"), path("e1")]
    assert rows(world, "2 0") == [path("e1")]


def test_home_rows_need_no_prefetching() -> None:
    off = PrefetchConfig(enabled=False)
    world = Cinema(titles=ON, prefetch=off)
    world.watch(1, 31.0, client="c")
    world.say(e3=0.9)
    assert rows(world, "c") == [path("e3")]
    assert world.prefetched() == []


@pytest.mark.parametrize("titles", [TitlesConfig(), ON])
def test_the_catalogue_is_asked_for_when_titles_are(titles: TitlesConfig) -> None:
    config = EdgeConfig(upstream=UPSTREAM, prefetch=PrefetchConfig(enabled=False), titles=titles)
    core = EdgeCore.from_config(config, epoch_s=0.0, recorder=NullRecorder())
    assert any(isinstance(effect, FetchCatalog) for effect in core.drain()) == (titles is ON)


def test_popularity_fades_with_a_half_life() -> None:
    popular = Popular(2)
    for name, count in (("old", 11), ("other", 4)):
        for _ in range(count):
            popular.taken(name, 0.0)
    assert popular.most(1.0) == ("old", "other")
    for _ in range(VIEWERS_MIN):
        popular.taken("new", 2.0 * HALF_LIFE_S)
    assert popular.most(1.0 + LISTED_S) == ("new", "old")


class Shown:
    """Knows two titles, and who asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, StreamFormat]] = []

    def home_rows(
        self, client: str, headers: Headers, count: int, form: StreamFormat
    ) -> tuple[Row, ...]:
        self.asked.append((client, count, form))
        return (Row(name="One", manifest="/one.mpd"), Row(name="Two", manifest="/two.mpd"))


def asked(target: str, method: str = "GET") -> Requested:
    return Requested(request_id=1, method=method, target=target, headers=PLAYER, client="c")


def test_the_answer_is_a_list_that_no_cache_may_keep() -> None:
    shown = Shown()
    home = Home(shown, is_on=True)
    status, headers, body = home.answer(asked(f"{TITLES_PATH}?count=7&format=hls"))
    assert status == 200
    assert dict(headers)["cache-control"] == "private, no-store"
    assert msgspec.json.decode(body) == {
        "titles": [
            {"name": "One", "manifest": "/one.mpd"},
            {"name": "Two", "manifest": "/two.mpd"},
        ]
    }
    assert home.answer(asked(TITLES_PATH, "HEAD"))[2] == b""
    assert shown.asked == [("c", 7, "hls"), ("c", 20, "dash")]


@pytest.mark.parametrize("query", ["count=0", "count=101", "count=x", "count=١", "format=mp4"])
def test_what_cannot_be_answered_is_refused(query: str) -> None:
    assert Home(Shown(), is_on=True).answer(asked(f"{TITLES_PATH}?{query}"))[0] == 400


def test_it_is_read_only_and_off_unless_configured() -> None:
    assert Home(Shown(), is_on=True).answer(asked(TITLES_PATH, "POST"))[0] == 405
    assert Home(Shown(), is_on=False).paths == frozenset()
