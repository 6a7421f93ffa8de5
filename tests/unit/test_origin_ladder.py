from __future__ import annotations

from fractions import Fraction

import pytest

from nearcast.errors import InputError
from origin.packaging.ladder import make_ladder, parse_rungs, rate_kbps

SOURCES = [
    (1920, 1080),
    (854, 480),
    (768, 432),
    (640, 360),
    (1080, 1920),
    (1920, 804),
    (427, 239),
    (721, 1283),
    (320, 240),
    (3840, 2160),
    (17, 19),
    (100, 1000),
]


@pytest.mark.parametrize(("width", "height"), SOURCES)
def test_rungs_share_one_ratio_in_even_sizes_within_the_source(width: int, height: int) -> None:
    ladder = make_ladder(width, height, 25.0)

    assert len({Fraction(rung.width, rung.height) for rung in ladder}) == 1
    for rung in ladder:
        assert rung.width % 2 == rung.height % 2 == 0
        assert rung.width <= width
        assert rung.height <= height
    rates = [rung.rate_kbps for rung in ladder]
    assert rates == sorted(rates)
    assert len({rung.id for rung in ladder}) == len(ladder)


@pytest.mark.parametrize(("width", "height"), [s for s in SOURCES if min(s) > 40])
def test_the_ratio_is_the_sources_and_the_top_rung_nearly_its_size(width: int, height: int) -> None:
    top = make_ladder(width, height, 25.0)[-1]

    assert top.width / top.height == pytest.approx(width / height, rel=0.0101)
    assert min(top.width, top.height) >= 0.95 * min(width, height)


def test_usual_sizes_give_the_usual_ladder() -> None:
    sizes = [(rung.id, rung.width, rung.height) for rung in make_ladder(1920, 1080, 30.0)]

    assert sizes == [
        ("240p", 416, 234),
        ("360p", 640, 360),
        ("540p", 960, 540),
        ("720p", 1280, 720),
        ("1080p", 1920, 1080),
    ]


def test_upright_video_is_named_by_its_shorter_side() -> None:
    ladder = make_ladder(1080, 1920, 30.0, ("360p", "720p"))

    assert [(rung.id, rung.width, rung.height) for rung in ladder] == [
        ("360p", 360, 640),
        ("720p", 720, 1280),
    ]


def test_rungs_above_the_source_become_the_source_once() -> None:
    ladder = make_ladder(640, 360, 30.0, ("144p", "288p", "432p", "720p"))

    assert [rung.id for rung in ladder] == ["144p", "288p", "360p"]


def test_rates_grow_with_size_and_frequency() -> None:
    assert 2500 < rate_kbps(1280, 720, 30) < 3100
    assert 4500 < rate_kbps(1920, 1080, 30) < 6000
    assert rate_kbps(1280, 720, 60) > rate_kbps(1280, 720, 30) > rate_kbps(1280, 720, 12.5)


def test_auto_means_no_names() -> None:
    assert parse_rungs("auto") is None
    assert parse_rungs("360p, 240p") == ("360p", "240p")


@pytest.mark.parametrize("text", ["", "big", "360", "360p,x", "9p", "99999p", "0p"])
def test_names_that_are_no_rungs_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="--rungs"):
        parse_rungs(text)


@pytest.mark.parametrize(("width", "height"), [(8, 8), (20_000, 100)])
def test_pictures_that_no_coder_takes_are_refused(width: int, height: int) -> None:
    with pytest.raises(InputError, match=f"{width}x{height}"):
        make_ladder(width, height, 25.0)
