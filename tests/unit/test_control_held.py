"""Where what should be held and the edge's own word differ, plans take the edge's word."""

from __future__ import annotations

from array import array

import google_crc32c
import msgspec
import numpy as np
import pytest

from nearcast.fleet import Heartbeat, Storage
from nearcast.placement import EdgePlan
from origin.control.held import Reckoned, Word, by_its_word
from origin.control.plan_inputs import plan_inputs
from origin.fleet import EdgeChanged, Fleet
from origin.placement.explain import explain
from origin.placement.files import Files, files_of_titles
from origin.placement.inputs import PlanInputs
from origin.placement.planner import make_plan
from origin.placement.settings import PlanSettings
from tests.plan_world import NOW_S, edge, row, title, told
from tests.simulated_fleet import WALL_S, record_of

TITLES = [title(name) for name in ("film", "other", "third")]
MB = 1_000_000


def digest(*titles: str) -> array[int]:
    return array("I", sorted(google_crc32c.value(name.encode()) for name in titles))


def files() -> Files:
    return files_of_titles(TITLES, 60.0)


def held_of(**titles: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    known = files()
    return np.array(
        [
            titles.get(name, 0) if rendition == "high" else 0
            for name, rendition in zip(known.titles, known.renditions, strict=True)
        ],
        dtype=np.int64,
    )


@pytest.mark.parametrize(
    ("pinned_bytes", "titles", "film", "other"),
    [
        (80 * MB, digest(), 40 * MB, 40 * MB),  # what is pinned agrees: titles may be told later
        (78 * MB, digest(), 40 * MB, 40 * MB),  # within what sizes are guessed by
        (40 * MB, digest("other"), 0, 40 * MB),
        (50 * MB, digest("other"), 10 * MB, 40 * MB),  # of some it does not hold the beginning
        (20 * MB, digest("other"), 0, 20 * MB),
        (20 * MB, None, 10 * MB, 10 * MB),  # nobody knows which
        (0, digest("film", "other"), 0, 0),
    ],
)
def test_no_more_is_held_than_the_edge_has_pinned(
    pinned_bytes: int, titles: array[int] | None, film: int, other: int
) -> None:
    held = held_of(film=40 * MB, other=40 * MB)
    reckoned = Reckoned(held, held)
    word = Word(pinned_bytes=pinned_bytes, titles=titles)
    assert by_its_word(files(), reckoned, word).tolist() == held_of(film=film, other=other).tolist()


def test_a_digest_that_is_full_says_nothing_of_the_titles_beyond_it() -> None:
    sums = {name: google_crc32c.value(name.encode()) for name in ("film", "other")}
    first, last = sorted(sums, key=sums.__getitem__)
    others = [number for number in range(40_000) if number not in sums.values()][:30_000]
    assert others[-1] < sums[first]
    full = array("I", [*others[1:], sums[first] + 1])
    both = held_of(film=40 * MB, other=40 * MB)
    word = Word(pinned_bytes=40 * MB, titles=full)
    held = by_its_word(files(), Reckoned(both, both), word)
    assert held.tolist() == held_of(**{last: 40 * MB}).tolist()


def test_what_viewers_may_have_pulled_goes_before_what_was_fetched() -> None:
    reckoned = Reckoned(held_of(film=40 * MB, other=40 * MB), held_of(film=40 * MB))
    word = Word(pinned_bytes=50 * MB, titles=digest("film", "other"))
    held = by_its_word(files(), reckoned, word)
    assert held.tolist() == held_of(film=40 * MB, other=10 * MB).tolist()


def next_inputs(plan: EdgePlan | None, word: Word | None, files_held: int = 0) -> PlanInputs:
    said = told(*(row(back, "a", "film", "high", 40 * MB, 4) for back in range(1, 80)))
    known = msgspec.structs.replace(
        edge("a"),
        plan=plan,
        plan_files_held=files_held,
        word=word,
        # It is full of other things by now, so that these bytes alone tell nothing.
        storage=Storage(capacity_bytes=10**9, used_bytes=900 * MB),
    )
    settings = PlanSettings(windows=("00:00-24:00",), fill_share=1.0)
    return plan_inputs(TITLES, said, [known], wall_s=NOW_S, history_days=14, settings=settings)


def test_what_a_lost_disk_held_is_planned_and_fetched_again() -> None:
    (first,) = make_plan(next_inputs(None, None)).edges
    followed = make_plan(next_inputs(first, None, len(first.files)))
    (kept,) = followed.edges
    assert followed.summary.edges[0].fill_bytes == 0, "all of it is held"

    held_bytes = sum(one.size_bytes for one in kept.files if one.fetch_until_s != 0.0)
    agreeing = Word(pinned_bytes=held_bytes, titles=digest("film", "other", "third"))
    again = next_inputs(kept, agreeing, len(kept.files))
    assert make_plan(again).summary.edges[0].fill_bytes == 0

    # The disk was changed for an empty one; what it is full of since is of other titles.
    lost = next_inputs(kept, Word(pinned_bytes=0, titles=digest("third")), len(kept.files))
    plan = make_plan(lost)
    (figures,) = plan.summary.edges
    assert figures.missing_bytes == held_bytes
    (before,) = (one for one in first.files if one.rendition == "high" and one.title == "film")
    (film,) = (
        one for one in plan.edges[0].files if one.rendition == "high" and one.title == "film"
    )
    assert (film.fetch_until_s, film.held_bytes) == (before.fetch_until_s, 0)
    assert film.fetch_until_s is None, "all of it is to be fetched"
    (why,) = explain(lost, plan, "film", rendition="high", edge="a")
    assert "is missing, as the edge says" in why.because


def test_a_digest_counts_while_it_is_what_the_edge_says_at_present() -> None:
    fleet = Fleet()
    fleet.handle(EdgeChanged(record=record_of("a")), 0.0)
    assert fleet.held_titles("a") is None

    def beat(number: int, held_id: str, held: bytes | None) -> None:
        said = Heartbeat(
            edge="a",
            boot_id="0" * 16,
            sequence_no=number,
            sent_wall_s=WALL_S,
            storage=Storage(capacity_bytes=100),
            held_id=held_id,
            held=held,
        )
        fleet.heartbeat(said, certificate_edge="a", received_wall_s=WALL_S, now_s=float(number))

    beat(1, "ab", None)
    assert fleet.held_titles("a") is None
    beat(2, "ab", digest("film", "other").tobytes())
    beat(3, "ab", None)
    assert fleet.held_titles("a") == digest("film", "other")
    beat(4, "cd", None)
    assert fleet.held_titles("a") is None
