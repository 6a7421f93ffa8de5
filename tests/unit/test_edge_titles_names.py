"""Which manifest a title of the model means, and which title a manifest is."""

from __future__ import annotations

from edge.config import EdgeConfig
from edge.config.watching import SeriesConfig
from edge.events import CatalogLearned
from edge.numbered import Numbers
from edge.services import Services
from edge.titles.names import Names
from nearcast.messages import Catalog, TitleEntry
from tests.edge_bench import UPSTREAM

CATALOG_URL = UPSTREAM + "/v1/catalog"


def names(*patterns: str) -> Names:
    numbers = Numbers([SeriesConfig(pattern=pattern) for pattern in patterns])
    return Names(Services(EdgeConfig(upstream=UPSTREAM)), numbers)


def title(
    title_id: str, series: str | None = None, season_no: int = 1, episode_no: int = 1
) -> TitleEntry:
    return TitleEntry(
        id=title_id,
        name=f"Name of {title_id}",
        duration_s=100.0,
        dash=f"{UPSTREAM}/{title_id}.mpd",
        hls=f"{UPSTREAM}/{title_id}.m3u8",
        series=series,
        season_no=season_no if series is not None else None,
        episode_no=episode_no if series is not None else None,
    )


def learn(known: Names, *titles: TitleEntry, url: str = CATALOG_URL) -> None:
    known.learn(CatalogLearned(base_url=url, catalog=Catalog(revision="1", titles=titles)))


def dash(title_id: str) -> str:
    return f"{UPSTREAM}/{title_id}.mpd"


def hls(title_id: str) -> str:
    return f"{UPSTREAM}/{title_id}.m3u8"


def test_a_series_is_its_first_episode_or_the_one_after_the_last_taken_up() -> None:
    known = names()
    episodes = [("c", 2, 1), ("a", 1, 1), ("b", 1, 2)]
    learn(known, title("film"), *(title(one, "S", season, no) for one, season, no in episodes))
    assert known.names(dash("b")) == known.names(hls("a")) == ("series:S",)
    assert known.manifest("series:S", dash("film")) == dash("a")
    assert known.manifest("series:S", dash("film"), dash("b")) == dash("c")
    assert known.manifest("series:S", dash("film"), dash("c")) is None
    assert known.shown("series:S") == "S"


def test_a_film_is_known_by_its_id_and_its_name_in_the_format_of_the_player() -> None:
    known = names()
    learn(known, title("one"), title("two"))
    assert known.names(hls("two")) == ("two", "Name of two")
    assert known.manifest("two", dash("one")) == dash("two")
    assert known.manifest("Name of two", hls("one")) == hls("two")
    assert known.manifest("two", None, form="hls") == hls("two")
    assert known.manifest("two", dash("one"), dash("two")) is None  # there is no more of it
    assert known.manifest("three", dash("one")) is None
    assert known.shown("two") == "Name of two"


def test_a_new_catalogue_replaces_the_old_and_one_that_is_gone_is_forgotten() -> None:
    known = names()
    learn(known, title("one"), title("two"))
    learn(known, title("one"))
    assert known.manifest("two", dash("one")) is None
    known.keep_only(())
    assert known.manifest("one", dash("two")) is None


def test_what_lies_outside_the_services_is_not_named() -> None:
    known = names()
    entry = TitleEntry(
        id="far",
        name="Far",
        duration_s=1.0,
        dash="http://elsewhere.invalid/far.mpd",
        hls=f"{UPSTREAM}/far.m3u8",
    )
    learn(known, title("one"), entry)
    assert known.manifest("far", dash("one")) is None
    assert known.manifest("far", hls("one")) == hls("far")


def test_without_a_catalogue_numbers_and_paths_name_what_was_watched() -> None:
    known = names(r"(?P<series>.*)-(?P<episode>[0-9]+)\.mpd")
    second, first = dash("show-2"), dash("show-1")
    (series,) = known.names(second)
    assert series.startswith("series:")
    assert series.endswith("show")
    assert known.manifest(series, dash("film")) is None  # nobody here has watched it
    known.watched(second)
    assert known.manifest(series, dash("film")) == second
    known.watched(first)
    known.watched(second)
    assert known.manifest(series, dash("film")) == first
    assert known.manifest(series, dash("film"), second) == dash("show-3")
    (film,) = known.names(dash("film"))
    assert film.endswith("/film.mpd")
    known.watched(dash("film"))
    assert known.manifest(film, first) == dash("film")
