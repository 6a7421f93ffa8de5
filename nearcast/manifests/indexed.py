"""MPDs whose segments are listed in the media files themselves (SegmentBase, on-demand profile)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from nearcast.errors import RemoteProtocolError
from nearcast.manifests.index_reader import FoundIndex, IndexPlace, IndexReader
from nearcast.manifests.limits import SegmentBudget, shown
from nearcast.manifests.periods import SLIVER_S, Draft, Period, join_periods
from nearcast.manifests.tables import Ranges, SegmentTable, Template
from nearcast.manifests.timing import Times
from nearcast.media import ByteRange, Presentation, Segment

COVERED_MIN = 0.5
"""Of a Period, by an index of a single segment. Some packagers write one for each fragment, of
which the first says nothing about the rest of the file."""


class IndexedMpd(msgspec.Struct, frozen=True, kw_only=True):
    """An MPD with representations of which the index must be fetched first."""

    url: str
    periods: tuple[Period, ...]

    @property
    def places(self) -> tuple[IndexPlace, ...]:
        """Where the indexes are, each once."""
        every = (draft.index for period in self.periods for draft in period.drafts)
        return tuple(dict.fromkeys(place for place in every if place is not None))

    def readers(self) -> tuple[IndexReader, ...]:
        """One for each index. Their segments count together."""
        budget = SegmentBudget()
        return tuple(IndexReader(place, budget) for place in self.places)

    def assemble(self, found: Mapping[IndexPlace, FoundIndex]) -> Presentation:
        """The title, once the indexes are here.

        Representations whose index is not given are left out. Raises RemoteProtocolError.
        """
        periods = [
            msgspec.structs.replace(
                period,
                drafts=tuple(
                    draft if draft.index is None else _filled(draft, found[draft.index], period)
                    for draft in period.drafts
                    if draft.index is None or draft.index in found
                ),
            )
            for period in self.periods
        ]
        return join_periods(periods, self.url)


def _filled(draft: Draft, found: FoundIndex, period: Period) -> Draft:
    assert draft.index is not None
    covered_s = found.starts_s[-1] + found.durations_s[-1]
    period_s = period.duration_s
    is_alone = len(found.ranges) == 1
    if is_alone and period_s is not None and covered_s < COVERED_MIN * period_s:
        raise RemoteProtocolError(
            f"the index of representation {shown(draft.rendition.id)} lists {covered_s:g} s of "
            f"{float(period_s):g} s: it seems to be that of a fragment only"
        )
    init = draft.init
    if init is None and found.first_byte > 0:
        before = ByteRange(0, found.first_byte - 1)
        init = Segment(
            url=draft.index.url,
            start_s=0.0,
            duration_s=0.0,
            byte_range=before,
            size_bytes=before.size_bytes,
        )
    count = len(found.ranges)
    starts_s, lengths_s = list(found.starts_s), list(found.durations_s)
    if period_s is not None:
        count = max(1, sum(start_s < period_s - SLIVER_S for start_s in starts_s))
    segments = SegmentTable(
        Times(starts_s[:count], lengths_s[:count]),
        Template((draft.index.url,), (), 0),
        ranges=Ranges(found.ranges[:count]),
    )
    return msgspec.structs.replace(draft, init=init, segments=segments, index=None)
