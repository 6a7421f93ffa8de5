"""The rates that manifests announce, measured from the sizes of segments."""

from __future__ import annotations

from collections.abc import Sequence

from nearcast.media import Representation, Segment
from nearcast.units import kbps


def measured_rates_kbps(segments: Sequence[Segment]) -> tuple[float, float] | None:
    """(peak, average), or None if a size is unknown."""
    sizes = [segment.size_bytes for segment in segments]
    known = [size for size in sizes if size is not None]
    if len(known) < len(sizes):
        return None
    return rates_kbps(known, [segment.duration_s for segment in segments])


def rates_kbps(
    sizes_bytes: Sequence[int], durations_s: Sequence[float]
) -> tuple[float, float] | None:
    """(peak, average) of segments of these sizes and durations; None if they are none.

    The peak is the highest rate of any run of segments that lasts between half and one and a half
    times the longest segment (RFC 8216, section 4.1), so that a short last segment, mostly
    header, does not count alone.
    """
    if not sizes_bytes:
        return None
    total_s = sum(durations_s)
    longest_s = max(durations_s)
    if total_s <= 0:
        return None
    average_kbps = kbps(sum(sizes_bytes), total_s)
    peak_kbps = average_kbps
    first, run_s, run_bytes = 0, 0.0, 0
    for last, duration_s in enumerate(durations_s):
        run_s += duration_s
        run_bytes += sizes_bytes[last]
        # The shortest run ending here that is long enough holds the highest rates nearly always;
        # single segments, the common case, are looked at exactly.
        while first < last and run_s - durations_s[first] >= longest_s / 2:
            run_s -= durations_s[first]
            run_bytes -= sizes_bytes[first]
            first += 1
        if first == last:  # no rounding left over from the running sum
            run_s = duration_s
        if run_s >= longest_s / 2:
            peak_kbps = max(peak_kbps, kbps(run_bytes, run_s))
    return peak_kbps, average_kbps


def announced_rates_kbps(representation: Representation) -> tuple[float, float]:
    """(peak, average): measured where every size is known, else as the rendition says."""
    measured = measured_rates_kbps(representation.segments)
    rendition = representation.rendition
    return measured or (rendition.peak_kbps, rendition.average_kbps)
