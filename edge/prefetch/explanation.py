"""The answer to "why is this here, or not": everything the edge knows of one URL.

What was decided comes from the book, what is now from the store, the fetches and the map. Times are
given as seconds ago, so that the answer means the same wherever it is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from cache.index import Segment
from edge.media_map import MediaMap
from edge.open_fills import OpenFills
from edge.prefetch.book import Grounds, State
from edge.prefetch.plans import Source
from edge.residents import Residents
from edge.status import SourceFigures

if TYPE_CHECKING:
    from edge.prefetch.office import Office


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A step of an object's story."""

    ago_s: float
    state: State
    detail: str = ""


class Title(msgspec.Struct, frozen=True, kw_only=True):
    """What is foreseen about a title."""

    url: str
    source: Source
    ago_s: float
    share: float
    probabilities: tuple[float, ...]
    chance: float


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Of one URL. No viewer is named: plans and viewers are counted."""

    url: str
    is_known: bool
    """Whether there is anything to say about it."""
    title_url: str | None = None
    """The title it belongs to, by the manifests read so far."""
    rendition: str | None = None
    segment_no: int | None = None
    """Counted from 1; None for manifests and initialisations."""
    is_manifest: bool = False
    resident: Segment | None = None
    size_bytes: int | None = None
    in_flight: Literal["demand", "prefetch", "paused prefetch"] | None = None
    received_bytes: int | None = None
    failed_until_s: float | None = None
    """For so many seconds it is left alone, since it could not be had."""
    asked_ago_s: float | None = None
    """When a client's request for it last had to be fetched, if that is remembered."""
    title: Title | None = None
    grounds: Grounds | None = None
    """What the last decision was made from."""
    story: tuple[Told, ...] = ()
    """Oldest first; times are when it came into that state."""
    waits_for: str | None = None
    """Why no prefetch starts at this moment."""
    budget: str
    measured: tuple[SourceFigures, ...] = ()


class Explainer:
    """Puts explanations together."""

    def __init__(
        self, *, office: Office, media_map: MediaMap, residents: Residents, open_fills: OpenFills
    ) -> None:
        self._office = office
        self._map = media_map
        self._residents = residents
        self._open = open_fills

    def explain(self, url: str, now_s: float) -> Explanation:
        office = self._office
        story, asked_s = office.book.story(url), office.book.asked_s(url)
        place = next(iter(self._map.places(url)), None)
        titles = self._map.titles_of(url)
        about_url = place.title_url if place is not None else url
        if not titles and story is not None and place is None:
            about_url = story.grounds.about_url
        foreseen = office.book.foreseen(about_url)
        ids = self._residents.ids_of(url)
        entry = self._residents.get(ids[0]) if ids else None
        fill = next(iter(self._open.of_url(url)), None)
        failed_until_s = office.shelf.alone_until_s(url)
        is_left_alone = failed_until_s is not None and failed_until_s > now_s
        return Explanation(
            url=url,
            is_known=bool(
                story or asked_s is not None or place or titles or foreseen or entry or fill
            ),
            title_url=about_url if place or titles or story else None,
            rendition=place.representation_id if place is not None else None,
            segment_no=(
                place.segment_index + 1
                if place is not None and place.segment_index is not None
                else None
            ),
            is_manifest=bool(titles),
            resident=self._residents.index.segment(ids[0]) if ids else None,
            size_bytes=entry.stored.size_bytes if entry is not None else None,
            in_flight=(
                None
                if fill is None
                else "demand"
                if not fill.is_prefetch
                else "paused prefetch"
                if fill.is_paused
                else "prefetch"
            ),
            received_bytes=fill.received_bytes if fill is not None else None,
            failed_until_s=(failed_until_s or 0.0) - now_s if is_left_alone else None,
            asked_ago_s=now_s - asked_s if asked_s is not None else None,
            title=(
                Title(
                    url=about_url,
                    source=foreseen.source,
                    ago_s=now_s - foreseen.at_s,
                    share=foreseen.share,
                    probabilities=foreseen.probabilities,
                    chance=foreseen.chance,
                )
                if foreseen is not None
                else None
            ),
            grounds=story.grounds if story is not None else None,
            story=tuple(
                Told(ago_s=now_s - step.at_s, state=step.state, detail=step.detail)
                for step in (story.steps if story is not None else ())
            ),
            waits_for=office.planner.waits_for(now_s),
            budget=office.budget.describe(now_s),
            measured=office.trust.figures(now_s),
        )
