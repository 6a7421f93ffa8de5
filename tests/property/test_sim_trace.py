"""The integral of a trace against exact fractions."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearcast.trace import Trace

spans = st.lists(
    st.tuples(st.integers(1, 50), st.one_of(st.just(0), st.integers(1, 100_000))),
    min_size=1,
    max_size=8,
).filter(lambda rows: any(rate for _, rate in rows))


def built(rows: list[tuple[int, int]]) -> Trace:
    times = [0]
    for tenths, _ in rows:
        times.append(times[-1] + tenths)
    return Trace([time / 10 for time in times], [rate for _, rate in rows])


def exact_bytes(rows: list[tuple[int, int]], until_s: Fraction) -> Fraction:
    """By walking the trace row by row; kbit/s are 125 bytes/s."""
    left_s, total = until_s, Fraction(0)
    while left_s > 0:
        for tenths, rate in rows:
            span_s = min(Fraction(tenths, 10), left_s)
            total += span_s * rate * 125
            left_s -= span_s
    return total


@given(rows=spans, start=st.integers(0, 2000), length=st.integers(0, 2000))
def test_sent_bytes_is_the_exact_integral(
    rows: list[tuple[int, int]], start: int, length: int
) -> None:
    exact = exact_bytes(rows, Fraction(start + length, 100)) - exact_bytes(
        rows, Fraction(start, 100)
    )
    got = built(rows).sent_bytes(start / 100, (start + length) / 100)
    assert got == pytest.approx(float(exact), rel=1e-9, abs=1e-3)


@given(rows=spans, start=st.integers(0, 2000), size_bytes=st.integers(1, 5_000_000))
def test_finish_is_the_first_time_at_which_the_bytes_are_through(
    rows: list[tuple[int, int]], start: int, size_bytes: int
) -> None:
    trace = built(rows)
    start_s = start / 100
    finish_s = trace.finish_s(start_s, size_bytes)
    assert finish_s > start_s
    assert trace.sent_bytes(start_s, finish_s) == pytest.approx(size_bytes, rel=1e-7, abs=1e-2)
    # Not a moment sooner: the last millisecond before it carried something.
    before_s = max(start_s, finish_s - 0.001)
    assert trace.sent_bytes(start_s, before_s) < size_bytes
