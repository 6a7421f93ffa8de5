"""The meter: edge hits, misses, and the traps of measuring small things."""

import pytest

from abr.events import ResponseStarted
from abr.throughput import Ewma, ThroughputMeter
from abr.transfer import Transfer
from nearcast.media import Segment

HIT = "edge; hit"
MISS = "edge; fwd=miss"


def head(size_bytes: int, cache_status: str | None) -> ResponseStarted:
    return ResponseStarted(
        request_id=1,
        status=200,
        url="http://x/1",
        size_bytes=size_bytes,
        cache_status=cache_status,
    )


class Source:
    """Plays transfers into a meter."""

    def __init__(self) -> None:
        self.meter = ThroughputMeter()
        self.now_s = 0.0

    def fetch(
        self,
        kbps: float,
        *,
        size_bytes: int = 250_000,
        status: str | None = MISS,
        ttfb_s: float = 0.1,
        reads: int = 20,
    ) -> None:
        """One segment at a constant rate, in so many equal reads."""
        segment = Segment(url="http://x/1", start_s=0, duration_s=2)
        transfer = Transfer(1, "segment", "http://x/1", self.now_s, track="video", segment=segment)
        self.now_s += ttfb_s
        transfer.started(self.meter, self.now_s, head(size_bytes, status))
        for number in range(1, reads + 1):
            self.now_s += size_bytes / reads / (kbps * 125)
            transfer.arrived(self.meter, size_bytes * number // reads, self.now_s)
        transfer.finish(self.meter, self.now_s)


def test_constant_rate_is_measured_exactly_and_time_to_first_byte_apart() -> None:
    source = Source()
    for _ in range(3):
        source.fetch(2000.0, ttfb_s=0.5)
    assert source.meter.next_kbps() == pytest.approx(2000.0)
    assert source.meter.ttfb_s() == pytest.approx(0.5)


def test_nothing_measured_gives_no_estimate() -> None:
    assert ThroughputMeter().next_kbps() is None
    assert ThroughputMeter().ttfb_s() == 0.0


def test_hits_do_not_raise_what_is_expected_of_a_miss() -> None:
    source = Source()
    source.fetch(1000.0, status=MISS)
    for _ in range(5):
        source.fetch(50_000.0, status=HIT)
    assert source.meter.next_kbps() == pytest.approx(1000.0)
    assert source.meter.last_mile_kbps == pytest.approx(50_000.0)
    assert source.meter.end_to_end_kbps == pytest.approx(1000.0)


def test_slow_last_mile_bounds_the_estimate() -> None:
    source = Source()
    source.fetch(9000.0, status=MISS)
    source.fetch(500.0, status=HIT)
    assert source.meter.next_kbps() == pytest.approx(500.0)


def test_long_row_of_hits_wears_an_old_miss_out_until_the_next_one() -> None:
    source = Source()
    source.fetch(1000.0, status=MISS)
    for _ in range(15):
        source.fetch(50_000.0, status=HIT)
    doubted = source.meter.next_kbps()
    assert doubted is not None
    assert 2000.0 < doubted < 3000.0
    source.fetch(1000.0, status=MISS)
    assert source.meter.next_kbps() == pytest.approx(1000.0)


def test_answers_that_do_not_say_count_as_misses() -> None:
    source = Source()
    source.fetch(700.0, status=None)
    assert source.meter.end_to_end_kbps == pytest.approx(700.0)
    assert source.meter.last_mile_kbps is None


def test_only_the_nearest_cache_counts() -> None:
    source = Source()
    source.fetch(700.0, status="shield; hit, edge; fwd=miss")
    assert source.meter.last_mile_kbps is None


def test_revalidated_body_came_from_the_store() -> None:
    source = Source()
    source.fetch(700.0, status="edge; fwd=stale; fwd-status=304")
    assert source.meter.end_to_end_kbps is None
    assert source.meter.last_mile_kbps == pytest.approx(700.0)


def test_lower_of_fast_and_slow_mean_follows_a_drop_quickly_and_a_rise_slowly() -> None:
    falling, rising = Source(), Source()
    for _ in range(8):
        falling.fetch(4000.0)
        rising.fetch(1000.0)
    falling.fetch(1000.0)
    rising.fetch(4000.0)
    fallen, risen = falling.meter.next_kbps(), rising.meter.next_kbps()
    assert fallen is not None
    assert risen is not None
    assert 4000.0 - fallen > 0.3 * 3000.0
    assert risen - 1000.0 < 0.15 * 3000.0


def test_recovery_after_an_outage_takes_few_segments() -> None:
    source = Source()
    for _ in range(5):
        source.fetch(100.0)
    for _ in range(10):
        source.fetch(20_000.0)
    recovered = source.meter.next_kbps()
    assert recovered is not None
    assert recovered > 6000.0


def test_body_in_one_read_is_timed_from_the_head_when_large_from_the_request_when_small() -> None:
    large, small = Source(), Source()
    large.fetch(8000.0, size_bytes=100_000, reads=1, ttfb_s=0.4)
    assert large.meter.next_kbps() == pytest.approx(8000.0)
    for _ in range(4):
        small.fetch(80_000.0, size_bytes=5_000, reads=1, ttfb_s=0.1)
    expected = 5_000 / 125 / (0.1 + 5_000 / 125 / 80_000)
    assert small.meter.next_kbps() == pytest.approx(expected)


def test_small_transfers_are_pooled_into_one_sample() -> None:
    source = Source()
    source.fetch(1000.0, size_bytes=10_000, reads=5)
    assert source.meter.next_kbps() is None
    source.fetch(1000.0, size_bytes=10_000, reads=5)
    source.fetch(1000.0, size_bytes=10_000, reads=5)
    assert len(source.meter.samples) == 1
    assert source.meter.next_kbps() == pytest.approx(1000.0)


def test_transfers_in_parallel_are_credited_with_the_whole_link() -> None:
    meter = ThroughputMeter()
    segment = Segment(url="http://x/1", start_s=0, duration_s=2)
    both = [
        Transfer(number, "segment", "http://x/1", 0.0, track="video", segment=segment)
        for number in (1, 2)
    ]
    for each in both:
        each.started(meter, 0.0, head(250_000, MISS))
    for step in range(1, 21):
        for each in both:
            each.arrived(meter, 12_500 * step, 0.1 * step)
    for each in both:
        each.finish(meter, 2.0)
    assert meter.next_kbps() == pytest.approx(2000.0, rel=0.06)  # each alone would show 1000


def test_ewma_corrects_for_its_start_from_zero() -> None:
    mean = Ewma(8.0)
    assert mean.value() is None
    mean.add(500.0, 0.1)
    assert mean.value() == pytest.approx(500.0)
    mean.add(1500.0, 8.0)
    assert mean.value() == pytest.approx(1500.0, rel=0.02)


def test_gaps_are_counted_from_the_end_of_the_last_request() -> None:
    meter = ThroughputMeter()
    assert meter.asked(5.0) == 0.0  # nothing was measured before it
    assert meter.gap_s(6.0) == 0.0  # it is under way
    assert meter.asked(6.0) == 0.0
    meter.closed(7.0)
    assert meter.gap_s(8.0) == 0.0
    meter.closed(9.0)
    assert meter.gap_s(11.5) == pytest.approx(2.5)
    assert meter.asked(12.0) == pytest.approx(3.0)


def test_sample_says_how_long_its_first_byte_took() -> None:
    source = Source()
    source.fetch(2000.0, ttfb_s=0.5)
    (sample,) = source.meter.samples
    # The first of 20 reads is not timed: it and the wait for it come before the duration.
    assert sample.duration_s == pytest.approx(19 / 20)
    assert sample.ttfb_s == pytest.approx(0.5 + 1 / 20)
