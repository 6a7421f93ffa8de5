"""Join the Periods of an MPD, one behind the other, into one ladder of representations.

Advertisements and other splices are Periods of their own, with their own files, inits and often
another ladder. The title's ladder is that of its longest Period; elsewhere each of its rungs is
played at the same place of the ladder where that has as many rungs, and at the nearest rate where
it has not, in the same language and coding if there is such. A kind that a Period lacks has a hole
there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Final

import msgspec

from nearcast.errors import RemoteProtocolError
from nearcast.manifests.index_reader import IndexPlace
from nearcast.manifests.limits import SegmentBudget, duration_s
from nearcast.manifests.tables import Listed, Ranges, SegmentTable, Template
from nearcast.manifests.timing import Times
from nearcast.media import (
    ByteRange,
    InitChange,
    Presentation,
    Rendition,
    Representation,
    Segment,
    TrackKind,
)

SLIVER_S: Final = 0.005
"""What overhangs the end of a Period by less than this is rounding in the manifest (many packagers
write milliseconds), not one more segment."""

_KINDS: Final[tuple[TrackKind, ...]] = ("video", "audio")


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A representation within its Period: its times count from there. `segments` is empty as long
    as `index`, where they are listed, is to be read."""

    rendition: Rendition
    init: Segment | None
    segments: SegmentTable | tuple[()]
    index: IndexPlace | None = None

    @property
    def end_s(self) -> float:
        return self.segments[-1].end_s if self.segments else 0.0


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """`start_s` where it is told, and it is not just the end of the one before. `duration_s` None:
    as long as its media."""

    start_s: Fraction | None
    duration_s: Fraction | None
    drafts: tuple[Draft, ...]

    def of(self, kind: TrackKind) -> list[Draft]:
        """Lowest rate first, in the order of the manifest where rates are equal."""
        found = [draft for draft in self.drafts if draft.rendition.kind == kind]
        return sorted(found, key=lambda one: one.rendition.peak_kbps) if kind == "video" else found

    @property
    def length_s(self) -> float:
        if self.duration_s is not None:
            return float(self.duration_s)
        return max((draft.end_s for draft in self.drafts), default=0.0)


class _Placed(msgspec.Struct, frozen=True):
    """A Period on the timeline of the title."""

    period: Period
    start_s: float
    end_s: float


def join_periods(periods: Sequence[Period], url: str) -> Presentation:
    """The title that these make up, in order. Raises RemoteProtocolError."""
    if len(periods) == 1:
        made = {
            kind: [
                Representation(rendition=one.rendition, init=one.init, segments=one.segments)
                for one in periods[0].of(kind)
            ]
            for kind in _KINDS
        }
    else:
        placed = list(_place(periods))
        budget = SegmentBudget()
        made = {kind: _join(placed, kind, budget) for kind in _KINDS}
    everything = [one for kind in _KINDS for one in made[kind]]
    if not everything:
        raise RemoteProtocolError("the MPD has no video and no audio representation")
    return Presentation(
        url=url,
        duration_s=max(one.duration_s for one in everything),
        video=tuple(made["video"]),
        audio=tuple(made["audio"]),
    )


def _place(periods: Sequence[Period]) -> Iterator[_Placed]:
    first_s = periods[0].start_s or Fraction(0)
    now_s = 0.0
    for index, period in enumerate(periods):
        if period.start_s is not None:
            now_s = float(period.start_s - first_s)
        end_s = now_s + period.length_s
        following = periods[index + 1].start_s if index + 1 < len(periods) else None
        if following is not None:
            end_s = min(end_s, float(following - first_s))
        if end_s < now_s:
            raise RemoteProtocolError("the Periods of the MPD are not in the order of time")
        yield _Placed(period, now_s, end_s)
        now_s = end_s
    duration_s(max(now_s, SLIVER_S), "the title")


def _join(
    placed: Sequence[_Placed], kind: TrackKind, budget: SegmentBudget
) -> list[Representation]:
    having = [one for one in placed if one.period.of(kind)]
    if not having:
        return []
    longest = max(having, key=lambda one: one.end_s - one.start_s)
    ladder = longest.period.of(kind)
    made = [_concatenated(draft, ladder, having, longest, budget) for draft in ladder]
    return [one for one in made if one.segments]


def _concatenated(
    draft: Draft,
    ladder: Sequence[Draft],
    having: Sequence[_Placed],
    longest: _Placed,
    budget: SegmentBudget,
) -> Representation:
    """One rung through all Periods that have its kind."""
    starts_s: list[float] = []
    lengths_s: list[float] = []
    urls: list[str] = []
    ranges: list[ByteRange | None] = []
    inits: list[InitChange] = []
    for one in having:
        found = draft if one is longest else _matching(draft, ladder, one.period)
        budget.take(len(found.segments))
        count = len(starts_s)
        for segment in found.segments:
            start_s = one.start_s + segment.start_s
            end_s = min(one.start_s + segment.end_s, one.end_s)
            if end_s - start_s <= min(SLIVER_S, segment.duration_s / 2):
                continue
            starts_s.append(start_s)
            lengths_s.append(end_s - start_s)
            urls.append(segment.url)
            ranges.append(segment.byte_range)
        if len(starts_s) > count and (not inits or inits[-1].init != found.init):
            inits.append(InitChange(start_s=starts_s[count], init=found.init))
    segments: SegmentTable | tuple[()] = ()
    if starts_s:
        is_one_file = all(url == urls[0] for url in urls)
        segments = SegmentTable(
            Times(starts_s, lengths_s),
            Template((urls[0],), (), 0) if is_one_file else Listed(urls),
            ranges=Ranges(ranges) if any(ranges) else None,
        )
    return Representation(
        rendition=draft.rendition,
        init=inits[0].init if inits else None,
        segments=segments,
        later_inits=tuple(inits[1:]),
    )


def _matching(draft: Draft, ladder: Sequence[Draft], period: Period) -> Draft:
    """What is played in `period` at the rung that `draft` is in the title's ladder."""
    mine, theirs = list(ladder), period.of(draft.rendition.kind)
    for trait in (_language, _coding):
        same = [one for one in theirs if trait(one) == trait(draft)]
        if same:
            theirs = same
            mine = [one for one in mine if trait(one) == trait(draft)]
    if len(mine) == len(theirs):
        by_rate = sorted(mine, key=_rate)
        rung = next(index for index, one in enumerate(by_rate) if one is draft)
        return sorted(theirs, key=_rate)[rung]
    return min(theirs, key=lambda one: abs(math.log(_rate(one) / _rate(draft))))


def _rate(draft: Draft) -> float:
    return draft.rendition.peak_kbps


def _language(draft: Draft) -> str | None:
    return draft.rendition.language


def _coding(draft: Draft) -> str:
    return draft.rendition.codecs.partition(".")[0].lower()
