"""Where the segments of a DASH Representation are, and when they play.

`SegmentTemplate` and `SegmentList` share one timing model (ISO/IEC 23009-1, 5.3.9): either a
`SegmentTimeline`, whose `S` elements say start, duration and repeat count in ticks, or a constant
`@duration`, where the end of the Period tells how many segments there are and cuts the last one.
All arithmetic is in whole ticks; seconds are made once, at the end, from a segment's own ticks.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import msgspec
from lxml import etree

from nearcast.errors import RemoteProtocolError
from nearcast.manifests.index_reader import IndexPlace
from nearcast.manifests.limits import (
    DURATION_S_MAX,
    SEGMENT_COUNT_MAX,
    TEXT_BYTES_MAX,
    TIME_TICKS_MAX,
    TIMESCALE_MAX,
    SegmentBudget,
    closed_range,
    join,
    natural,
    positive,
)
from nearcast.manifests.periods import SLIVER_S
from nearcast.manifests.places import read_places
from nearcast.manifests.tables import Ranges, SegmentTable, Template
from nearcast.manifests.templates import read_template
from nearcast.manifests.timing import Runs
from nearcast.media import Segment

_NOWHEN = Runs(1, 0)
_NOWHEN.add(0, 1, 1)


class Addressing(msgspec.Struct, frozen=True):
    """`SegmentTemplate`, `SegmentList` or `SegmentBase` elements, innermost first."""

    tag: str
    elements: tuple[etree._Element, ...]

    def attribute(self, name: str) -> str | None:
        for element in self.elements:
            value = element.get(name)
            if value is not None:
                return value
        return None

    def children(self, name: str) -> list[etree._Element]:
        """Those of the innermost element that has any."""
        for element in self.elements:
            found = [
                child
                for child in element
                if isinstance(child.tag, str) and child.tag.rpartition("}")[2] == name
            ]
            if found:
                return found
        return []


def read_segments(
    addressing: Addressing,
    *,
    base_url: str,
    names: Mapping[str, str],
    period_s: Fraction | None,
    budget: SegmentBudget,
    what: str,
) -> tuple[Segment | None, SegmentTable]:
    """(init, segments). `names` are the values of $RepresentationID$ and $Bandwidth$."""
    listed = addressing.children("SegmentURL") if addressing.tag == "SegmentList" else None
    runs = _timing(addressing, period_s, what, None if listed is None else len(listed))
    if listed is not None:
        runs.cut(len(listed))
    count = len(runs)
    if count == 0:
        raise RemoteProtocolError(f"{what} has no segments")
    budget.take(count)
    skipped = runs.early_count()
    if skipped >= count:
        raise RemoteProtocolError("every segment lies before the start of the Period")
    init = _initialization(addressing, base_url, names)
    first_no = natural(addressing.attribute("startNumber") or "1", "@startNumber", TIME_TICKS_MAX)
    if listed is None:
        media = addressing.attribute("media")
        if media is None:
            raise RemoteProtocolError(f"the SegmentTemplate of {what} has no @media")
        pieces, slots = read_template(media, base_url, names)
        places = Template(pieces, slots, first_no, runs)
        return init, SegmentTable(runs, places, skipped=skipped)
    listed = listed[:count]
    texts = [element.get("mediaRange") for element in listed]
    ranges = None
    if any(text is not None for text in texts):
        ranges = Ranges(
            None if text is None else closed_range(text, "@mediaRange") for text in texts
        )
    places_listed = read_places([element.get("media") or "" for element in listed], base_url)
    return init, SegmentTable(runs, places_listed, ranges=ranges, skipped=skipped)


def read_segment_base(
    addressing: Addressing, *, base_url: str, what: str
) -> tuple[Segment | None, IndexPlace]:
    """The init, if it is told apart from the index, and where the segments are listed."""
    timescale = positive(addressing.attribute("timescale") or "1", "@timescale", TIMESCALE_MAX)
    offset = natural(
        addressing.attribute("presentationTimeOffset") or "0",
        "@presentationTimeOffset",
        TIME_TICKS_MAX,
    )
    text = addressing.attribute("indexRange")
    index_range = None if text is None else closed_range(text, f"@indexRange of {what}")
    if index_range is not None and index_range.size_bytes > TEXT_BYTES_MAX:
        raise RemoteProtocolError(f"the index of {what} has {index_range.size_bytes} bytes")
    init = _initialization(addressing, base_url, {})
    if init is not None and init.byte_range is None and init.url == base_url:
        init = None  # all of the file, which says nothing
    place = IndexPlace(url=base_url, byte_range=index_range, offset_s=Fraction(offset, timescale))
    return init, place


def _timing(
    addressing: Addressing, period_s: Fraction | None, what: str, listed_count: int | None
) -> Runs:
    timescale = positive(addressing.attribute("timescale") or "1", "@timescale", TIMESCALE_MAX)
    offset = natural(
        addressing.attribute("presentationTimeOffset") or "0",
        "@presentationTimeOffset",
        TIME_TICKS_MAX,
    )
    end = None if period_s is None else offset + period_s * timescale
    timelines = addressing.children("SegmentTimeline")
    if timelines:
        return _timeline(timelines[0], end, offset, timescale, what)
    text = addressing.attribute("duration")
    if text is None:
        if listed_count == 1 and period_s is not None:
            runs = Runs(timescale, offset)
            runs.add(offset, 1, 1)
            runs.last_ticks = period_s * timescale
            return runs
        raise RemoteProtocolError(f"{what} has neither a SegmentTimeline nor @duration")
    duration = positive(text, "@duration", TIME_TICKS_MAX)
    return _constant(duration, end, offset, timescale, what, listed_count)


def _constant(
    duration: int,
    end: Fraction | None,
    offset: int,
    timescale: int,
    what: str,
    listed_count: int | None,
) -> Runs:
    _check_ticks(duration, timescale, what)
    sliver = Fraction(SLIVER_S) * timescale
    if end is None and listed_count is None:
        raise RemoteProtocolError(
            f"{what} has segments of equal duration but the MPD does not say how long it is"
        )
    if end is None:
        count = listed_count or 0
    else:
        whole, rest = divmod(end - offset, duration)
        count = int(whole) + (1 if rest > sliver or whole == 0 else 0)
        if listed_count is not None:
            count = min(count, listed_count) if count else listed_count
    if count > SEGMENT_COUNT_MAX:
        raise RemoteProtocolError(
            f"{what} has {count} segments; at most {SEGMENT_COUNT_MAX} in all"
        )
    runs = Runs(timescale, offset)
    runs.add(offset, duration, count)
    if end is not None and count:
        # A Period rounded down a little would otherwise cut the last segment by the rounding.
        left = end - runs.start(count - 1)
        if sliver < left < duration - sliver:
            runs.last_ticks = left
    return runs


def _timeline(
    timeline: etree._Element, end: Fraction | None, offset: int, timescale: int, what: str
) -> Runs:
    runs = Runs(timescale, offset)
    entries = [
        child
        for child in timeline
        if isinstance(child.tag, str) and child.tag.rpartition("}")[2] == "S"
    ]
    now: int | None = None
    for index, entry in enumerate(entries):
        text = entry.get("t")
        if text is not None:
            start = natural(text, "S@t", TIME_TICKS_MAX)
        else:
            # Without @t the first one starts at 0 (5.3.9.6.2).
            start = 0 if now is None else now
        if len(runs) and start <= runs.start(len(runs) - 1):
            raise RemoteProtocolError(f"the SegmentTimeline of {what} goes back at t={start}")
        length = entry.get("d")
        if length is None:
            raise RemoteProtocolError(f"an S element of {what} has no @d")
        duration = positive(length, "S@d", TIME_TICKS_MAX)
        _check_ticks(duration, timescale, what)
        following = entries[index + 1] if index + 1 < len(entries) else None
        repeats = _repeats(entry.get("r"), start, duration, following, end, timescale, what)
        if len(runs) + repeats + 1 > SEGMENT_COUNT_MAX:
            raise RemoteProtocolError(
                f"{what} has more than {SEGMENT_COUNT_MAX} segments in its SegmentTimeline"
            )
        runs.add(start, duration, repeats + 1)
        now = start + (repeats + 1) * duration
        if (now - offset) > DURATION_S_MAX * timescale:
            raise RemoteProtocolError(f"{what} lasts longer than a week")
    return runs


def _repeats(
    text: str | None,
    start: int,
    duration: int,
    following: etree._Element | None,
    end: Fraction | None,
    timescale: int,
    what: str,
) -> int:
    """How often more the entry occurs; a negative count means up to the next entry or the end."""
    text = (text or "0").strip()
    if not text.startswith("-"):
        return natural(text, "S@r", TIME_TICKS_MAX)
    natural(text[1:], "S@r", TIME_TICKS_MAX)
    limit: Fraction | int | None = None if end is None else end - Fraction(SLIVER_S) * timescale
    if following is not None:
        upto = following.get("t")
        limit = None if upto is None else natural(upto, "S@t", TIME_TICKS_MAX)
    if limit is None:
        raise RemoteProtocolError(f"a segment of {what} repeats, and nothing says until when")
    return max(0, -int((start - limit) // duration) - 1)


def _check_ticks(duration: int, timescale: int, what: str) -> None:
    if duration > DURATION_S_MAX * timescale:
        raise RemoteProtocolError(f"a segment of {what} lasts {duration / timescale:g} s")


def _initialization(
    addressing: Addressing, base_url: str, names: Mapping[str, str]
) -> Segment | None:
    byte_range = None
    elements = addressing.children("Initialization")
    template = addressing.attribute("initialization")
    if template is not None and addressing.tag == "SegmentTemplate":
        # Numbers and times mean nothing here; they are as those of no segment.
        url = Template(*read_template(template, base_url, names), 0, _NOWHEN).url(0)
    elif elements:
        url = join(base_url, elements[0].get("sourceURL") or "")
        text = elements[0].get("range")
        byte_range = None if text is None else closed_range(text, "Initialization@range")
    else:
        return None
    size_bytes = None if byte_range is None else byte_range.size_bytes
    return Segment(
        url=url, start_s=0.0, duration_s=0.0, byte_range=byte_range, size_bytes=size_bytes
    )
