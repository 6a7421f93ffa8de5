"""The demo's evening: what is watched, and that both sides and the twin are told the same."""

from collections.abc import Iterator

import msgspec
import pytest

from abr.schedule import Schedule
from nearcast.errors import InputError
from nearcast.messages import Catalog
from origin.catalog import Title
from simulation.demo.live import live_schedule
from simulation.demo.plan import SIDES, DemoPlan, demo_plan
from simulation.demo.twin import twin_scenario, twin_title
from simulation.scenario import Scenario
from simulation.trace import SHIPPED_NAMES
from simulation.workload import titles_of, viewers_of


@pytest.fixture(scope="module")
def plan() -> DemoPlan:
    return demo_plan()


@pytest.fixture(scope="module")
def titles(plan: DemoPlan) -> tuple[Title, ...]:
    """The plan's titles with drawn segment sizes."""
    specs = [
        {"id": title.id, "duration_s": title.duration_s}
        | (
            {"series": title.series, "season_no": title.season_no, "episode_no": title.episode_no}
            if title.series
            else {}
        )
        for title in plan.titles
    ]
    edge = {"name": "e", "backhaul": {"rate_kbps": 1000}}
    viewer = {"id": "v", "titles": ["tide"], "last_mile": {"rate_kbps": 1000}}
    drawn = msgspec.convert({"titles": specs, "edges": [edge], "viewers": [viewer]}, Scenario)
    return titles_of(drawn)


def successors(titles: tuple[Title, ...]) -> dict[str, str]:
    entries = tuple(title.entry() for title in titles)
    return Catalog(revision="", titles=entries).successors()


def schedules(plan: DemoPlan, titles: tuple[Title, ...]) -> Iterator[tuple[str, Schedule]]:
    for side in SIDES:
        hosts = {f"{side}-{viewer.id}": f"127.0.0.1:{side}" for viewer in plan.viewers}
        yield side, live_schedule(plan, side, hosts, successors(titles))


def test_everybody_watches_titles_and_links_that_there_are(plan: DemoPlan) -> None:
    known = {title.id for title in plan.titles}
    assert len(known) == len(plan.titles)
    assert len({viewer.id for viewer in plan.viewers}) == len(plan.viewers) >= 8
    for viewer in plan.viewers:
        assert known.issuperset(viewer.titles)
        assert viewer.last_mile.trace in SHIPPED_NAMES


def test_viewers_who_give_up_do_so_within_their_last_title(plan: DemoPlan) -> None:
    length_s = {title.id: title.duration_s for title in plan.titles}
    leavers = [viewer for viewer in plan.viewers if viewer.leaves_after_s is not None]
    assert leavers
    for viewer in leavers:
        assert viewer.leaves_after_s is not None
        assert 0.5 < viewer.leaves_after_s / length_s[viewer.titles[-1]] < 1


def test_both_sides_are_told_the_same_behind_links_of_their_own(
    plan: DemoPlan, titles: tuple[Title, ...]
) -> None:
    told = {side: msgspec.json.encode(schedule) for side, schedule in schedules(plan, titles)}
    assert told["off"] != told["on"]
    assert told["off"].replace(b":off/", b":on/") == told["on"]


def test_next_episodes_are_those_that_follow_in_the_catalogue(
    plan: DemoPlan, titles: tuple[Title, ...]
) -> None:
    (_, schedule), _ = schedules(plan, titles)
    for viewer, scheduled in zip(plan.viewers, schedule.viewers, strict=True):
        flags = [item.is_next_episode for item in scheduled.plan.items]
        is_series = "-s01e" in viewer.titles[0]
        assert flags == [False, *[is_series] * (len(viewer.titles) - 1)]


def test_schedule_survives_the_file_that_players_read(
    plan: DemoPlan, titles: tuple[Title, ...]
) -> None:
    for _, schedule in schedules(plan, titles):
        assert msgspec.json.decode(msgspec.json.encode(schedule), type=Schedule) == schedule


def test_the_twin_differs_by_side_in_prefetch_alone(
    plan: DemoPlan, titles: tuple[Title, ...]
) -> None:
    twin = twin_scenario(plan, titles, seed=3)
    off, on = twin.edges
    assert (off.name, on.name) == SIDES
    assert off.backhaul == on.backhaul == plan.backhaul
    assert off.settings == {"prefetch.enabled": False}
    assert on.settings == {"prefetch.enabled": True}
    assert viewers_of(twin, titles) == plan.viewers


def test_title_that_an_origin_describes_is_the_title_it_has(titles: tuple[Title, ...]) -> None:
    for title in titles:
        assert twin_title(title.detail()) == title


def test_rendition_without_an_init_is_no_title_of_ours(titles: tuple[Title, ...]) -> None:
    detail = titles[0].detail()
    first, *others = detail.renditions
    cut = msgspec.structs.replace(first, files=first.files[1:])
    with pytest.raises(InputError, match="0 init segments"):
        twin_title(msgspec.structs.replace(detail, renditions=(cut, *others)))
