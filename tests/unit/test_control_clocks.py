"""The clocks of edges, by what they say of themselves."""

import logging

import msgspec
import pytest

from nearcast.fleet import EdgeProfile
from nearcast.local_time import fixed
from nearcast.zones import local_time
from origin.drivers.control.clocks import Clocks, unknown_count


def profile(time_zone: str, utc_offset_h: float = 0.0) -> EdgeProfile:
    return EdgeProfile(
        url="http://e1:80", capacity_bytes=1, time_zone=time_zone, utc_offset_h=utc_offset_h
    )


def test_an_edge_that_says_a_zone_has_its_clocks_and_another_its_offset() -> None:
    found = Clocks().of({"e1": profile("Europe/Berlin", 1.0), "e2": profile("", -3.5)})
    assert found == {"e1": local_time("Europe/Berlin"), "e2": fixed(-3.5)}


def test_a_zone_that_is_not_known_here_is_told_once_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clocks, edges = Clocks(), {"e1": profile("Europe/Newtown", 2.0)}
    with caplog.at_level(logging.WARNING):
        assert clocks.of(edges) == {"e1": fixed(2.0)}
        assert clocks.of(edges) == {"e1": fixed(2.0)}
    (line,) = caplog.messages
    assert "edge=e1 zone=Europe/Newtown offset_h=2.00" in line
    assert unknown_count([*edges.values(), profile("Europe/Berlin"), profile("")]) == 1


def test_a_profile_of_the_version_before_says_an_offset() -> None:
    said = b'{"url":"http://e1:80","capacity_bytes":1,"utc_offset_h":2.0}'
    assert msgspec.json.decode(said, type=EdgeProfile) == profile("", 2.0)


@pytest.mark.parametrize("name", ["Europe/Ber lin", "../etc/passwd", "/etc", "Europe/Berlin\n"])
def test_what_is_no_name_of_a_zone_is_refused(name: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="time_zone"):
        msgspec.convert(
            {"url": "http://e1:80", "capacity_bytes": 1, "time_zone": name}, EdgeProfile
        )
