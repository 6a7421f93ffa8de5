"""Pauses double, and end where they should."""

from __future__ import annotations

import pytest

from nearcast.backoff import doubled_s


def test_pauses_double_up_to_the_most() -> None:
    assert [doubled_s(0.5, count, 3.0) for count in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


@pytest.mark.parametrize("count", [1_024, 10**9])
def test_no_number_of_failures_is_too_many(count: int) -> None:
    assert doubled_s(1.0, count, 30.0) == 30.0
