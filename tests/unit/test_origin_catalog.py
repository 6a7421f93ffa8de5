from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nearcast.errors import InputError
from nearcast.messages import TitleEntry
from origin.catalog import catalog_of, check_id, episode_id, rendition_folder, slug
from origin.drivers.ingest import make_orders


def line(title_id: str, series: str | None = None, season: int = 1, episode: int = 1) -> TitleEntry:
    is_episode = series is not None
    return TitleEntry(
        id=title_id,
        name=title_id,
        duration_s=1.0,
        dash="d",
        hls="h",
        series=series,
        season_no=season if is_episode else None,
        episode_no=episode if is_episode else None,
    )


def test_titles_are_ordered_by_series_season_and_episode() -> None:
    entries = [
        line("b", "Harbour", 1, 10),
        line("a", "Harbour", 1, 9),
        line("c", "Harbour", 2, 1),
        line("film"),
    ]

    catalog = catalog_of((entry, 1) for entry in entries)

    assert [title.id for title in catalog.titles] == ["film", "a", "b", "c"]
    assert catalog.successors() == {"a": "b", "b": "c"}


def test_the_revision_depends_on_content_and_not_on_order() -> None:
    one, two = line("a"), line("b")

    assert catalog_of([(one, 1), (two, 1)]).revision == catalog_of([(two, 1), (one, 1)]).revision
    assert catalog_of([(one, 1), (two, 1)]).revision != catalog_of([(one, 1), (two, 2)]).revision


@pytest.mark.parametrize(
    ("text", "made"), [("My Film (2026)", "my-film-2026"), ("a--b", "a-b"), ("..x..", "x")]
)
def test_ids_are_made_of_names(text: str, made: str) -> None:
    assert slug(text) == made


def test_a_name_without_letters_gives_no_id() -> None:
    with pytest.raises(InputError, match="--id"):
        slug("...")


@pytest.mark.parametrize("title_id", ["", "../x", "A", "a/b", "a b", "-a", "a" * 81, "é"])
def test_ids_that_are_no_path_part_are_refused(title_id: str) -> None:
    with pytest.raises(InputError):
        check_id(title_id)


def test_later_editions_have_urls_of_their_own() -> None:
    assert rendition_folder("360p", 1) == "360p"
    assert rendition_folder("360p", 3) == "360p.e3"


def test_several_files_of_a_series_are_consecutive_episodes() -> None:
    orders = make_orders(
        [Path("x.mp4"), Path("y.mkv")], series="My Show", season_no=2, episode_no=3
    )

    assert [order.id for order in orders] == ["my-show-s02e03", "my-show-s02e04"]
    assert [order.episode for order in orders] == [("My Show", 2, 3), ("My Show", 2, 4)]
    assert orders[0].id == episode_id("My Show", 2, 3)


A, B = Path("a.mp4"), Path("b.mp4")


@pytest.mark.parametrize(
    "make",
    [
        lambda: make_orders([]),
        lambda: make_orders([A, B], title_id="x"),
        lambda: make_orders([A, B], name="x"),
        lambda: make_orders([A, Path("d/a.mkv")]),
        lambda: make_orders([A], season_no=1),
        lambda: make_orders([A], title_id="../x"),
    ],
)
def test_orders_that_contradict_themselves_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(InputError):
        make()
