from __future__ import annotations

import pytest

from cache.http.dates import format_date, parse_date

EXAMPLE_WALL_S = 784_111_777.0  # RFC 9110, 5.6.7


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "sun, 06 nov 1994 08:49:37 gmt",
        " Sun, 06 Nov 1994 08:49:37 GMT ",
    ],
)
def test_the_three_forms_name_the_same_second(text: str) -> None:
    assert parse_date(text) == EXAMPLE_WALL_S


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "0",
        "-1",
        "now",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 CET",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 0٦ Nov 1994 08:49:37 GMT",
        "x" * 100_000,
    ],
)
def test_anything_else_is_no_date(text: str | None) -> None:
    assert parse_date(text) is None


def test_two_digit_years_lie_between_1970_and_2069() -> None:
    assert parse_date("Thursday, 01-Jan-70 00:00:00 GMT") == 0
    late_wall_s = parse_date("Tuesday, 31-Dec-69 23:59:59 GMT")
    assert late_wall_s == parse_date("Tue, 31 Dec 2069 23:59:59 GMT")


def test_formatting_is_the_inverse_of_parsing() -> None:
    assert format_date(EXAMPLE_WALL_S + 0.9) == "Sun, 06 Nov 1994 08:49:37 GMT"
    for wall_s in (0, 951_782_400, 1_795_246_000, 4_102_444_799):
        assert parse_date(format_date(wall_s)) == wall_s


def test_times_no_date_can_name_are_clamped() -> None:
    assert format_date(-5) == "Thu, 01 Jan 1970 00:00:00 GMT"
    assert format_date(1e15) == "Fri, 31 Dec 9999 23:59:59 GMT"
