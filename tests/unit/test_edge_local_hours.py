"""An edge's hours are those that its viewers' clocks show, in summer and in winter."""

from datetime import UTC, datetime

import pytest

from edge.assemble import EdgeNode
from edge.config import EdgeConfig
from edge.config.watching import WindowConfig
from edge.prefetch.budget import Budget
from edge.prefetch.hours import Hours
from nearcast.aio import run
from nearcast.config import load
from nearcast.errors import ConfigError
from nearcast.zones import local_time

H = 3600.0
NIGHT = WindowConfig(hours="02:00-06:00", rate_factor=4.0, cost_now=0.1)


def wall_s(*moment: int) -> float:
    return datetime(*moment, tzinfo=UTC).timestamp()  # type: ignore[misc, arg-type]


def hours(zone: str, epoch_s: float) -> Hours:
    return Hours((NIGHT,), cost_now=1.0, epoch_s=epoch_s, local_time=local_time(zone))


@pytest.mark.parametrize(("month", "begins_h"), [(1, 1.0), (7, 0.0)])
def test_a_window_is_at_the_same_local_hours_all_the_year(month: int, begins_h: float) -> None:
    midnight_s = wall_s(2027, month, 10)
    berlin = hours("Europe/Berlin", midnight_s)
    assert berlin.tariff((begins_h - 0.01) * H).cost_now == 1.0
    assert berlin.tariff(begins_h * H).cost_now == 0.1
    assert berlin.tariff((begins_h + 4.0) * H).cost_now == 1.0


def test_what_changes_with_the_clocks_is_looked_at_then() -> None:
    """At 02:00 of this night it is 03:00."""
    evening_s = wall_s(2027, 3, 27, 23)  # 00:00 in Berlin
    berlin = hours("Europe/Berlin", evening_s)
    assert berlin.change_s(0.0) == pytest.approx(2 * H, abs=0.1)
    assert berlin.tariff(2 * H).cost_now == 0.1  # 03:00
    assert berlin.change_s(2.1 * H) == pytest.approx(5 * H, abs=0.1)
    assert berlin.midnight_s(2.1 * H) == pytest.approx(23 * H, abs=0.1)


def test_a_midnight_that_comes_twice_ends_one_day() -> None:
    """In Beirut clocks are put back from 24:00 to 23:00."""
    evening_s = wall_s(2027, 10, 30, 20)  # 23:00
    beirut = hours("Asia/Beirut", evening_s)
    budget = Budget(8e6, 1e4, hours=beirut, bytes_per_day=1000)
    assert beirut.day_no(1.1 * H) == beirut.day_no(0.5 * H)
    budget.charge(1000, 0.5 * H)
    assert budget.is_dry(0.9 * H)
    assert budget.is_dry(1.1 * H)  # 23:06 once more
    assert budget.is_dry(1.9 * H)
    assert not budget.is_dry(2.1 * H)


def test_a_zone_and_an_offset_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="exclude each other"):
        load(
            EdgeConfig,
            role="edge",
            assignments=["sessions.time_zone=Europe/Berlin", "sessions.utc_offset_h=1"],
        )


def test_an_unknown_zone_ends_the_start_and_says_what_to_write() -> None:
    config = load(
        EdgeConfig,
        role="edge",
        assignments=["upstream=http://127.0.0.1:9", "sessions.time_zone=Europe/Berln"],
    ).value

    async def make() -> None:
        EdgeNode(config)

    with pytest.raises(ConfigError, match=r"sessions\.time_zone: .* such as Europe/Berlin"):
        run(make())
