"""Windows of local hours against clocks that are read minute by minute, in all time zones."""

from datetime import UTC, datetime
from importlib import resources
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from edge.config.watching import WindowConfig
from edge.prefetch.hours import Hours
from nearcast.local_time import LocalTime, Span, fixed
from nearcast.seeds import Seeds
from nearcast.units import HOUR_S
from nearcast.zones import local_time, zone_names
from origin.placement.windows import fill_windows, open_s, parse_window

MINUTE_S = 60
DAY_MINUTES = 24 * 60
TABLES = resources.files("tzdata").joinpath("zoneinfo")
AWKWARD = (
    "Europe/Berlin",
    "Europe/Dublin",  # its winter time is what is put back
    "America/New_York",
    "America/Asuncion",  # at midnight
    "America/St_Johns",  # off by half an hour
    "Africa/Casablanca",  # by the moon
    "Africa/Cairo",
    "Antarctica/Troll",  # by two hours
    "Asia/Beirut",
    "Asia/Gaza",  # four times a year
    "Asia/Kathmandu",
    "Australia/Lord_Howe",  # by half an hour
    "Pacific/Apia",  # left out a day
    "Pacific/Chatham",
)


def zone(name: str) -> ZoneInfo:
    with TABLES.joinpath(*name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def shown_minute(rules: ZoneInfo, wall_s: float) -> int:
    """What a clock on the wall shows."""
    shown = datetime.fromtimestamp(wall_s, rules)
    return shown.hour * 60 + shown.minute


def is_within(texts: list[str], minute: int) -> bool:
    """Read from the text, and not as the code under test does."""
    for text in texts:
        opens, closes = (
            int(clock[:2]) * 60 + int(clock[3:]) for clock in text.split("-", maxsplit=1)
        )
        past_midnight = closes <= opens and (minute >= opens or minute < closes)
        if opens <= minute < closes or past_midnight:
            return True
    return False


def random_texts(draw: np.random.Generator) -> list[str]:
    def clock() -> str:
        minute = int(draw.integers(DAY_MINUTES))
        return f"{minute // 60:02d}:{minute % 60:02d}"

    texts = [f"{clock()}-{clock()}" for _ in range(int(draw.integers(1, 3)))]
    return [text for text in texts if text[:5] != text[6:]] or ["02:00-03:00"]


def check(name: str, clock: LocalTime, from_s: float, minutes: int, texts: list[str]) -> None:
    """Windows are open in those minutes, and no other, that clocks show as within the hours."""
    rules = zone(name)
    until_s = from_s + minutes * MINUTE_S
    windows = fill_windows(texts, clock, from_s, until_s)
    bounds = [bound for one in windows for bound in (one.from_wall_s, one.until_wall_s)]
    assert bounds == sorted(bounds)
    assert len(set(bounds)) == len(bounds), "windows that touch are one, and none is empty"
    opened = np.zeros(minutes, dtype=np.bool_)
    for one in windows:
        first, end = ((at - from_s) / MINUTE_S for at in (one.from_wall_s, one.until_wall_s))
        assert first == int(first)
        assert end == int(end)
        opened[int(first) : int(end)] = True
    wanted = np.array(
        [is_within(texts, shown_minute(rules, from_s + i * MINUTE_S)) for i in range(minutes)]
    )
    assert np.array_equal(opened, wanted), (name, from_s, texts)
    assert open_s(windows) == pytest.approx(opened.sum() * MINUTE_S)


def random_start(draw: np.random.Generator, clock: LocalTime) -> float:
    """Within a day before clocks are set, or any time."""
    if clock.changes_wall_s and draw.random() < 0.7:
        at_s = float(draw.choice(np.array(clock.changes_wall_s)))
    else:
        at_s = float(draw.uniform(9.5e8, 3.4e9))
    return (at_s - float(draw.uniform(0, 86_400))) // MINUTE_S * MINUTE_S


@pytest.mark.parametrize("name", AWKWARD)
def test_windows_are_what_clocks_show_where_they_are_set_oddly(name: str) -> None:
    draw, clock = Seeds(5).stream(f"hours/{name}"), local_time(name)
    for _ in range(3):
        check(name, clock, random_start(draw, clock), 3 * DAY_MINUTES // 2, random_texts(draw))


@pytest.mark.parametrize("first", range(8))
def test_windows_are_what_clocks_show_in_all_zones(first: int) -> None:
    # Of several names of one table the first; what is under test sees no name.
    tables = {TABLES.joinpath(*name.split("/")).read_bytes(): name for name in sorted(zone_names())}
    assert len(tables) > 300
    for name in sorted(tables.values())[first::8]:
        draw, clock = Seeds(7).stream(f"hours/{name}"), local_time(name)
        check(name, clock, random_start(draw, clock), DAY_MINUTES // 3, random_texts(draw))


def test_an_hour_that_is_missing_is_no_window() -> None:
    night_s = datetime(2027, 3, 27, 12, tzinfo=UTC).timestamp()
    berlin = local_time("Europe/Berlin")
    assert fill_windows(["02:00-03:00"], berlin, night_s, night_s + 24 * HOUR_S) == ()
    assert open_s(fill_windows(["02:00-08:00"], berlin, night_s, night_s + 24 * HOUR_S)) == (
        5 * HOUR_S
    )


def test_an_hour_that_comes_twice_counts_twice() -> None:
    night_s = datetime(2027, 10, 30, 12, tzinfo=UTC).timestamp()
    berlin = local_time("Europe/Berlin")
    (once,) = fill_windows(["02:00-03:00"], berlin, night_s, night_s + 24 * HOUR_S)
    assert once.until_wall_s - once.from_wall_s == 2 * HOUR_S
    apart = fill_windows(["01:30-02:30"], berlin, night_s, night_s + 24 * HOUR_S)
    assert [one.until_wall_s - one.from_wall_s for one in apart] == [HOUR_S, HOUR_S / 2]


def test_a_fixed_offset_knows_no_summer() -> None:
    clock = fixed(5.5)
    assert clock.spans(0.0, 1e9) == (Span(0.0, 1e9, 19_800.0),)
    assert clock.change_after(0.0) is None
    assert parse_window("02:00-08:00") == (2 * HOUR_S, 8 * HOUR_S)


def test_clocks_say_when_they_are_set_next() -> None:
    berlin = local_time("Europe/Berlin")
    january_s = datetime(2027, 1, 1, tzinfo=UTC).timestamp()
    march_s = berlin.change_after(january_s)
    assert march_s == datetime(2027, 3, 28, 1, tzinfo=UTC).timestamp()
    assert berlin.offset_s(march_s - 1.0) == HOUR_S
    assert berlin.offset_s(march_s) == 2 * HOUR_S
    assert berlin.local_s(march_s) == march_s + 2 * HOUR_S
    first, second = berlin.spans(january_s, march_s + 1.0)
    assert (first.offset_s, second.offset_s) == (HOUR_S, 2 * HOUR_S)
    assert berlin.spans(march_s, march_s) == ()


@pytest.mark.parametrize("name", AWKWARD)
def test_an_edge_wakes_whenever_its_tariff_changes(name: str) -> None:
    draw, clock, rules = Seeds(9).stream(f"tariffs/{name}"), local_time(name), zone(name)
    from_s = random_start(draw, clock)
    texts = random_texts(draw)
    windows = [WindowConfig(hours=text, rate_factor=2.0) for text in texts]
    hours = Hours(windows, cost_now=1.0, epoch_s=from_s, local_time=clock)
    wakes_s = hours.change_s(0.0)
    factor = hours.tariff(0.0).rate_factor
    for minute in range(2 * DAY_MINUTES):
        now_s = float(minute * MINUTE_S)
        while wakes_s <= now_s + 0.01:  # it comes a moment behind what it is for
            factor = hours.tariff(wakes_s).rate_factor
            later_s = hours.change_s(wakes_s)
            assert later_s > wakes_s
            wakes_s = later_s
        is_inside = is_within(texts, shown_minute(rules, from_s + now_s))
        assert hours.tariff(now_s).rate_factor == (2.0 if is_inside else 1.0), (now_s, texts)
        assert factor == hours.tariff(now_s).rate_factor, (now_s, texts)
