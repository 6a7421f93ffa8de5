"""Read a DASH manifest (ISO/IEC 23009-1) of a finished title.

What is understood: one Period; BaseURL at every level; SegmentTemplate (with SegmentTimeline or
@duration) and SegmentList, inherited and overridden attribute by attribute from Period through
AdaptationSet to Representation. Subtitles, thumbnails and trick play are passed over. Not
understood, and said so: dynamic MPDs, several Periods, SegmentBase with its index in the media
file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Final

import msgspec
from lxml import etree

from nearcast.errors import RemoteProtocolError
from nearcast.manifests.addressing import Addressing, read_segments
from nearcast.manifests.limits import (
    DURATION_S_MAX,
    ELEMENT_COUNT_MAX,
    RATE_BPS_MAX,
    REPRESENTATION_COUNT_MAX,
    SegmentBudget,
    check_text,
    decimal,
    duration_s,
    join,
    positive,
    shown,
)
from nearcast.media import Presentation, Rendition, Representation, TrackKind
from nearcast.units import kbps_from_bps

_ISO_DURATION = re.compile(
    r"P(?:(\d{1,9})D)?(?:T(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,12}(?:\.\d{0,12})?)S)?)?"
)
_ADDRESSING_TAGS: Final = ("SegmentTemplate", "SegmentList", "SegmentBase")
_VIDEO_CODECS = ("avc", "hvc", "hev", "av01", "vp8", "vp09", "vp9", "dvh", "dva", "vvc", "vvi")
_AUDIO_CODECS = ("mp4a", "ac-3", "ec-3", "ac-4", "opus", "flac", "alac", "vorbis", "dts", "mha")
_XLINK = "{http://www.w3.org/1999/xlink}href"


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
        base = _child(element, "BaseURL")
        url = self.base_url if base is None else join(self.base_url, base.text or "")
        return _Level((*self.elements, element), url)

    def addressing(self) -> Addressing | None:
        """The innermost kind of addressing, its elements from the innermost out."""
        for element in reversed(self.elements):
            for tag in _ADDRESSING_TAGS:
                if _child(element, tag) is not None:
                    found = [_child(outer, tag) for outer in reversed(self.elements)]
                    return Addressing(tag, tuple(one for one in found if one is not None))
        return None


def read_dash(text: bytes, url: str) -> Presentation:
    """The title that an MPD fetched from `url` describes. Raises RemoteProtocolError."""
    root = _parse(text)
    if _name(root) != "MPD":
        raise RemoteProtocolError(f"not an MPD: the root element is {shown(_name(root))}")
    if root.get("type", "static") != "static":
        raise RemoteProtocolError("this MPD is dynamic: live streams are not supported")
    period = _only_period(root)
    period_s = _period_duration(root, period)
    level = _Level((), url).below(root).below(period)
    budget = SegmentBudget()
    found: dict[TrackKind, list[Representation]] = {"video": [], "audio": []}
    ids: set[str] = set()
    for kind, inner in _playable(level):
        if len(ids) == REPRESENTATION_COUNT_MAX:
            raise RemoteProtocolError(f"more than {REPRESENTATION_COUNT_MAX} representations")
        representation = _representation(kind, inner, period_s, budget, ids)
        ids.add(representation.rendition.id)
        found[kind].append(representation)
    if not ids:
        raise RemoteProtocolError("the MPD has no video and no audio representation")
    found["video"].sort(key=lambda one: one.rendition.peak_kbps)
    return Presentation(
        url=url,
        duration_s=max(one.duration_s for some in found.values() for one in some),
        video=tuple(found["video"]),
        audio=tuple(found["audio"]),
    )


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


def _parse(text: bytes) -> etree._Element:
    document = check_text(text)
    # libxml2 has defences of its own; these keep us from having to rely on them.
    if "<!DOCTYPE" in document or "<!ENTITY" in document:
        raise RemoteProtocolError("the MPD has a document type declaration, which is not allowed")
    if document.count("<") > ELEMENT_COUNT_MAX:
        raise RemoteProtocolError(f"the MPD has more than {ELEMENT_COUNT_MAX} tags")
    parser = etree.XMLParser(
        encoding="utf-8",  # whatever the declaration says: this is what was checked above
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(document.encode(), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise RemoteProtocolError(f"the MPD is not well-formed XML: {error}") from error
    if root is None or root.getroottree().docinfo.internalDTD is not None:
        raise RemoteProtocolError("the MPD has a document type declaration, which is not allowed")
    return root


def _only_period(root: etree._Element) -> etree._Element:
    periods = [child for child in root if _name(child) == "Period"]
    if not periods:
        raise RemoteProtocolError("the MPD has no Period")
    if len(periods) > 1:
        raise RemoteProtocolError(
            f"the MPD has {len(periods)} Periods; titles of one Period are supported"
        )
    if periods[0].get(_XLINK) is not None:
        raise RemoteProtocolError("the Period is elsewhere (xlink), which is not supported")
    return periods[0]


def _period_duration(root: etree._Element, period: etree._Element) -> Fraction | None:
    for element, name in ((period, "duration"), (root, "mediaPresentationDuration")):
        text = element.get(name)
        if text is not None:
            return parse_duration_s(text, f"@{name}")
    return None


def _playable(period: _Level) -> Iterator[tuple[TrackKind, _Level]]:
    for adaptation_set in _children(period.elements[-1], "AdaptationSet"):
        if any(
            "trickmode" in (one.get("schemeIdUri") or "")
            for tag in ("EssentialProperty", "SupplementalProperty")
            for one in _children(adaptation_set, tag)
        ):
            continue
        level = period.below(adaptation_set)
        for element in _children(adaptation_set, "Representation"):
            kind = _kind(adaptation_set, element)
            if kind is not None:
                yield kind, level.below(element)


def _kind(adaptation_set: etree._Element, representation: etree._Element) -> TrackKind | None:
    elements = (representation, adaptation_set)
    types = [adaptation_set.get("contentType")]
    types += [(element.get("mimeType") or "").partition("/")[0] for element in elements]
    for name in types:
        if name in ("video", "audio"):
            return "video" if name == "video" else "audio"
        if name in ("text", "image"):
            return None
    for element in elements:
        codecs = (element.get("codecs") or "").strip().lower()
        if codecs.startswith(_VIDEO_CODECS):
            return "video"
        if codecs.startswith(_AUDIO_CODECS):
            return "audio"
    return None


def _representation(
    kind: TrackKind,
    level: _Level,
    period_s: Fraction | None,
    budget: SegmentBudget,
    ids: set[str],
) -> Representation:
    element = level.elements[-1]
    raw_id = element.get("id") or f"{kind}{len(ids) + 1}"
    what = f"representation {shown(raw_id)}"
    bandwidth = element.get("bandwidth")
    if bandwidth is None:
        raise RemoteProtocolError(f"{what} has no @bandwidth")
    rate_bps = positive(bandwidth, f"@bandwidth of {what}", RATE_BPS_MAX)
    addressing = level.addressing()
    if addressing is None or addressing.tag == "SegmentBase":
        raise RemoteProtocolError(
            f"{what} is one file with its index inside (sidx); such on-demand titles are not "
            "supported yet"
        )
    init, segments = read_segments(
        addressing,
        base_url=level.base_url,
        names={"RepresentationID": raw_id, "Bandwidth": bandwidth.strip()},
        period_s=period_s,
        budget=budget,
        what=what,
    )
    rate_kbps = kbps_from_bps(rate_bps)
    rendition = Rendition(
        id=_unique(raw_id, ids),
        kind=kind,
        codecs=(level.attribute("codecs") or "").strip(),
        peak_kbps=rate_kbps,
        average_kbps=rate_kbps,
        width=_optional_number(level.attribute("width")),
        height=_optional_number(level.attribute("height")),
        frame_rate=_frame_rate(level.attribute("frameRate")),
        sample_rate_hz=_optional_number(level.attribute("audioSamplingRate")),
        channel_count=_channel_count(level.elements[2:]),
        language=level.attribute("lang") or None,
    )
    duration_s(segments[-1].end_s, f"{what}")
    return Representation(rendition=rendition, init=init, segments=segments)


def _unique(name: str, taken: set[str]) -> str:
    """Ids must differ within a Period; where they do not, the later ones are told apart."""
    made, number = name, 1
    while made in taken:
        number += 1
        made = f"{name}-{number}"
    return made


def _optional_number(text: str | None) -> int | None:
    """A describing attribute: nonsense in it is not worth refusing the title."""
    first = (text or "").split()[:1]
    if not first or not re.fullmatch(r"\d{1,9}", first[0], re.ASCII):
        return None
    return int(first[0]) or None


def _frame_rate(text: str | None) -> float | None:
    over, _, under = (text or "").strip().partition("/")
    try:
        value = decimal(over, "@frameRate") / decimal(under or "1", "@frameRate")
    except (RemoteProtocolError, ZeroDivisionError):
        return None
    return float(value) if 0 < value <= 1000 else None


def _channel_count(elements: Sequence[etree._Element]) -> int | None:
    for element in reversed(elements):
        for configuration in _children(element, "AudioChannelConfiguration"):
            if "23003:3" in (configuration.get("schemeIdUri") or ""):
                return _optional_number(configuration.get("value"))
    return None


def _name(element: etree._Element) -> str:
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def _children(element: etree._Element, name: str) -> Iterator[etree._Element]:
    return (child for child in element if _name(child) == name)


def _child(element: etree._Element, name: str) -> etree._Element | None:
    return next(_children(element, name), None)
