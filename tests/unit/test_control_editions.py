"""Titles that are packaged anew are wanted as before."""

import msgspec
import numpy as np
import pytest

from nearcast.telemetry import HEAD_S
from origin.catalog import Title
from origin.control.editions import nearest_picture
from origin.control.ladder import Ladder, titles_of
from origin.control.told import ToldHours
from origin.placement.files import files_of_titles
from tests.plan_world import NOW_S, inputs_of, rendition, row, title, told, value

SAID = told(
    *(row(back, "e1", "t1", "low", 20_000_000, 2) for back in range(2, 60)),
    *(row(back, "e1", "t1", "high", 120_000_000, 3) for back in range(2, 60)),
    *(row(back, "e1", "t1", "audio-nl", 10_000_000, 0) for back in range(2, 60)),
    *(row(back, "e1", "t2", "low", 10_000_000, 1) for back in range(2, 60)),
)


def packaged_anew(old: Title, **names: str) -> Title:
    return msgspec.structs.replace(
        old,
        edition_no=2,
        created_wall_s=NOW_S - 60.0,
        released_wall_s=old.created_wall_s,
        renditions=tuple(
            msgspec.structs.replace(
                one,
                rendition=msgspec.structs.replace(
                    one.rendition, id=names.get(one.rendition.id, f"{one.rendition.id}.e2")
                ),
            )
            for one in old.renditions
        ),
    )


def test_another_edition_is_worth_what_the_one_before_was() -> None:
    titles = [title("t1"), title("t2")]
    before = inputs_of(titles, SAID, ["e1"])
    after = inputs_of([packaged_anew(titles[0]), titles[1]], SAID, ["e1"])
    assert value(before, "e1", "t1", "high") > value(before, "e1", "t2", "high") > 0.0
    for name in ("low", "high", "audio-en", "audio-nl"):
        assert value(after, "e1", "t1", f"{name}.e2") == value(before, "e1", "t1", name)
        assert value(after, "e1", "t2", name) == value(before, "e1", "t2", name)


def test_viewings_of_a_ladder_that_is_gone_count_for_the_title() -> None:
    titles = [title("t1"), title("t2")]
    before = inputs_of(titles, SAID, ["e1"])
    anew = packaged_anew(titles[0], low="slim", high="wide")
    after = inputs_of([anew, titles[1]], SAID, ["e1"])
    assert value(after, "e1", "t1", "slim") > value(before, "e1", "t1", "low")
    assert after.edges[0].served_bytes > 0.3 * before.edges[0].served_bytes


def test_what_an_earlier_edition_was_asked_for_is_not_held_of_this_one() -> None:
    for made, is_held in ((title("t1"), True), (packaged_anew(title("t1")), False)):
        ladder, files = Ladder([made]), files_of_titles([made], HEAD_S)
        pulled = ToldHours(ladder, files, SAID, ["e1"], np.array([1e6])).pulled_bytes(0, 0.0)
        assert bool(pulled.any()) is is_held


@pytest.mark.parametrize(
    ("old", "place"), [("hevc-1200", 2), ("700p.e3", 1), ("10p", 0), ("900p", 1), ("best", -1)]
)
def test_a_picture_of_another_name_stands_by_its_number(old: str, place: int) -> None:
    assert nearest_picture(old, ["360p.e4", "720p.e4", "1080p.e4"]) == place


def test_a_ladder_of_other_names_is_met_by_numbers() -> None:
    old = msgspec.structs.replace(
        title("t1"), renditions=(rendition("300p", 10_000_000), rendition("900p", 40_000_000))
    )
    said = told(
        *(row(back, "e1", "t1", "300p", 10_000_000, 1) for back in range(2, 60)),
        *(row(back, "e1", "t1", "900p", 160_000_000, 4) for back in range(2, 60)),
    )
    before = inputs_of([old], said, ["e1"])
    after = inputs_of([packaged_anew(old, **{"300p": "360p", "900p": "1080p"})], said, ["e1"])
    assert value(after, "e1", "t1", "1080p") == value(before, "e1", "t1", "900p")
    assert value(after, "e1", "t1", "360p") == value(before, "e1", "t1", "300p")


def test_a_series_is_one_however_it_is_spelled() -> None:
    titles = [title("a", "Harbour", 1), title("b", " harbour", 2), title("c", "HARBOUR", 3)]
    assert titles_of(titles, Ladder(titles), 0).successor.tolist() == [1, 2, -1]
