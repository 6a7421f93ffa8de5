"""Read a DASH manifest (ISO/IEC 23009-1) of a finished title.

What is understood: Periods one behind the other (nearcast.manifests.periods); BaseURL at every
level; SegmentTemplate (with SegmentTimeline or @duration), SegmentList and SegmentBase (with its
index in the media file), inherited and overridden attribute by attribute from Period through
AdaptationSet to Representation. Subtitles, thumbnails and trick play are passed over. Not
understood, and said so: dynamic MPDs, Periods that are elsewhere (xlink).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Final

import msgspec
from lxml import etree

from nearcast.errors import RemoteProtocolError
from nearcast.manifests.addressing import Addressing, read_segment_base, read_segments
from nearcast.manifests.describe_dash import (
    channel_count,
    is_webm,
    optional_frame_rate,
    optional_number,
    track_kind,
)
from nearcast.manifests.elements import child, children, name_of, parse_xml
from nearcast.manifests.indexed import IndexedMpd
from nearcast.manifests.limits import (
    DURATION_S_MAX,
    PERIOD_COUNT_MAX,
    RATE_BPS_MAX,
    REPRESENTATION_COUNT_MAX,
    SegmentBudget,
    duration_s,
    join,
    positive,
    shown,
)
from nearcast.manifests.periods import Draft, Period, join_periods
from nearcast.media import Presentation, Rendition, TrackKind
from nearcast.units import kbps_from_bps

_ISO_DURATION = re.compile(
    r"P(?:(\d{1,9})D)?(?:T(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,12}(?:\.\d{0,12})?)S)?)?"
)
_ZERO = re.compile(r"P(?:0D)?T?(?:0H)?(?:0M)?(?:0(?:\.0{0,12})?S)?(?<=[DHMS])")
_ADDRESSING_TAGS: Final = ("SegmentTemplate", "SegmentList", "SegmentBase")
_XLINK = "{http://www.w3.org/1999/xlink}href"
_RESOLVES_TO_NOTHING = "urn:mpeg:dash:resolve-to-zero:2013"


class _Level(msgspec.Struct, frozen=True):
    """What a Representation inherits: its elements from the MPD down, and the base URL."""

    elements: tuple[etree._Element, ...]
    base_url: str

    def attribute(self, name: str) -> str | None:
        """The innermost one; Periods and the MPD have none that are inherited."""
        for element in reversed(self.elements[2:]):
            value = element.get(name)
            if value is not None:
                return value
        return None

    def below(self, element: etree._Element) -> _Level:
        base = child(element, "BaseURL")
        url = self.base_url if base is None else join(self.base_url, base.text or "")
        return _Level((*self.elements, element), url)

    @property
    def has_index_inside(self) -> bool:
        addressing = self.addressing()
        return addressing is None or addressing.tag == "SegmentBase"

    def addressing(self) -> Addressing | None:
        """The innermost kind of addressing, its elements from the innermost out."""
        for element in reversed(self.elements):
            for tag in _ADDRESSING_TAGS:
                if child(element, tag) is not None:
                    found = [child(outer, tag) for outer in reversed(self.elements)]
                    return Addressing(tag, tuple(one for one in found if one is not None))
        return None


def read_dash(text: bytes, url: str) -> Presentation | IndexedMpd:
    """The title that an MPD fetched from `url` describes, or what is known of it before the
    indexes in its media files have been read. Raises RemoteProtocolError."""
    root = parse_xml(text)
    if name_of(root) != "MPD":
        raise RemoteProtocolError(f"not an MPD: the root element is {shown(name_of(root))}")
    if root.get("type", "static") != "static":
        raise RemoteProtocolError("this MPD is dynamic: live streams are not supported")
    periods = tuple(_periods(root, _Level((), url).below(root)))
    if not any(period.drafts for period in periods):
        webm = " but WebM files with their index inside, which is not read"
        raise RemoteProtocolError(
            f"the MPD has no video and no audio representation{webm if b'/webm' in text else ''}"
        )
    indexed = IndexedMpd(url=url, periods=periods)
    return indexed if indexed.places else join_periods(periods, url)


def parse_duration_s(text: str, what: str) -> Fraction:
    """An xs:duration of days, hours, minutes and seconds, exactly."""
    match = _ISO_DURATION.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        raise RemoteProtocolError(f"{what} is not a duration: {shown(text)}")
    days, hours, minutes, seconds = (Fraction(part or 0) for part in match.groups())
    value = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if not 0 < value <= int(DURATION_S_MAX):
        raise RemoteProtocolError(f"{what} is {shown(text)}; it must be above 0, at most a week")
    return value


def _periods(root: etree._Element, level: _Level) -> Iterator[Period]:
    elements = [
        element
        for element in children(root, "Period")
        if element.get(_XLINK) != _RESOLVES_TO_NOTHING
    ]
    if not elements:
        raise RemoteProtocolError("the MPD has no Period")
    if len(elements) > PERIOD_COUNT_MAX:
        raise RemoteProtocolError(f"the MPD has more than {PERIOD_COUNT_MAX} Periods")
    budget = SegmentBudget()
    starts = [_period_time(element, "start") for element in elements]
    whole_s = _time(root, "mediaPresentationDuration")
    first_s = starts[0] or Fraction(0)
    now_s: Fraction | None = first_s
    for index, element in enumerate(elements):
        if element.get(_XLINK) is not None:
            raise RemoteProtocolError(
                f"line {element.sourceline}: the Period is elsewhere (xlink), "
                "which is not supported"
            )
        start_s = now_s = starts[index] if starts[index] is not None else now_s
        length_s = _period_time(element, "duration")
        is_last = index + 1 == len(elements)
        following_s = None if is_last else starts[index + 1]
        if length_s is None and now_s is not None and following_s is not None:
            length_s = following_s - now_s
        elif length_s is None and now_s is not None and is_last and whole_s is not None:
            # In a title that is cut out of a stream, Periods may count from that one's beginning.
            length_s = whole_s - (now_s - first_s)
        if length_s is not None and length_s < 0:
            raise RemoteProtocolError(
                f"line {element.sourceline}: the Period ends before it begins"
            )
        now_s = None if now_s is None or length_s is None else now_s + length_s
        if length_s == 0:
            continue
        drafts = tuple(_drafts(level.below(element), length_s, budget))
        yield Period(start_s=start_s, duration_s=length_s, drafts=drafts)


def _time(element: etree._Element, name: str) -> Fraction | None:
    text = element.get(name)
    return None if text is None else parse_duration_s(text, f"@{name}")


def _period_time(element: etree._Element, name: str) -> Fraction | None:
    """May be zero, other than that of the whole."""
    text = element.get(name)
    if text is not None and _ZERO.fullmatch(text.strip()):
        return Fraction(0)
    return _time(element, name)


def _drafts(level: _Level, period_s: Fraction | None, budget: SegmentBudget) -> Iterator[Draft]:
    ids: set[str] = set()
    for kind, inner in _playable(level):
        if len(ids) == REPRESENTATION_COUNT_MAX:
            raise RemoteProtocolError(f"more than {REPRESENTATION_COUNT_MAX} representations")
        try:
            draft = _draft(kind, inner, period_s, budget, ids)
        except RemoteProtocolError as error:
            line = inner.elements[-1].sourceline
            raise RemoteProtocolError(f"line {line}: {error}") from error
        ids.add(draft.rendition.id)
        yield draft


def _playable(period: _Level) -> Iterator[tuple[TrackKind, _Level]]:
    for adaptation_set in children(period.elements[-1], "AdaptationSet"):
        if any(
            "trickmode" in (one.get("schemeIdUri") or "")
            for tag in ("EssentialProperty", "SupplementalProperty")
            for one in children(adaptation_set, tag)
        ):
            continue
        level = period.below(adaptation_set)
        for element in children(adaptation_set, "Representation"):
            kind = track_kind(adaptation_set, element)
            inner = level.below(element)
            if kind is None or (is_webm(adaptation_set, element) and inner.has_index_inside):
                continue  # packagers offer such files beside MP4
            yield kind, inner


def _draft(
    kind: TrackKind,
    level: _Level,
    period_s: Fraction | None,
    budget: SegmentBudget,
    ids: set[str],
) -> Draft:
    element = level.elements[-1]
    raw_id = element.get("id") or f"{kind}{len(ids) + 1}"
    what = f"representation {shown(raw_id)}"
    bandwidth = element.get("bandwidth")
    if bandwidth is None:
        raise RemoteProtocolError(f"{what} has no @bandwidth")
    rate_kbps = kbps_from_bps(positive(bandwidth, f"@bandwidth of {what}", RATE_BPS_MAX))
    rendition = Rendition(
        id=_unique(raw_id, ids),
        kind=kind,
        codecs=(level.attribute("codecs") or "").strip(),
        peak_kbps=rate_kbps,
        average_kbps=rate_kbps,
        width=optional_number(level.attribute("width")),
        height=optional_number(level.attribute("height")),
        frame_rate=optional_frame_rate(level.attribute("frameRate")),
        sample_rate_hz=optional_number(level.attribute("audioSamplingRate")),
        channel_count=channel_count(level.elements[2:]),
        language=level.attribute("lang") or None,
    )
    addressing = level.addressing()
    if addressing is None or level.has_index_inside:
        if all(child(outer, "BaseURL") is None for outer in level.elements):
            raise RemoteProtocolError(f"{what} has neither segments nor a BaseURL")
        init, index = read_segment_base(
            addressing or Addressing("SegmentBase", ()), base_url=level.base_url, what=what
        )
        return Draft(rendition=rendition, init=init, segments=(), index=index)
    init, segments = read_segments(
        addressing,
        base_url=level.base_url,
        names={"RepresentationID": raw_id, "Bandwidth": bandwidth.strip()},
        period_s=period_s,
        budget=budget,
        what=what,
    )
    duration_s(segments[-1].end_s, what)
    return Draft(rendition=rendition, init=init, segments=segments)


def _unique(name: str, taken: set[str]) -> str:
    """Ids must differ within a Period; where they do not, the later ones are told apart."""
    made, number = name, 1
    while made in taken:
        number += 1
        made = f"{name}-{number}"
    return made
