"""Write a DASH manifest from a presentation.

Segment URLs that count up become a SegmentTemplate with $Number$; any other ones a SegmentList.
Segments of one duration are written as @duration where the Period's end gives the same segments
back, else as a SegmentTimeline. Rates are measured where every segment's size is known.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from xml.sax.saxutils import quoteattr

from nearcast.errors import LocalProtocolError
from nearcast.manifests.rates import announced_rates_kbps
from nearcast.manifests.steering_tags import HOME, Pathway, dash_lines
from nearcast.manifests.ticks import EXACT_S, choose_timescale, fraction_text, ticks
from nearcast.manifests.urls import NumberedUrls, numbered, relative
from nearcast.media import ByteRange, Presentation, Representation, Segment
from nearcast.units import bps_from_kbps

NAMESPACE = "urn:mpeg:dash:schema:mpd:2011"
PROFILE = "urn:mpeg:dash:profile:isoff-live:2011"
CHANNEL_SCHEME = "urn:mpeg:dash:23003:3:audio_channel_configuration:2011"


def write_mpd(
    presentation: Presentation,
    *,
    url: str | None = None,
    timescales: Mapping[str, int] | None = None,
    steering_url: str = "",
    pathways: Sequence[Pathway] = (HOME,),
) -> str:
    """The MPD of `presentation`, with URLs relative to `url` (default: `presentation.url`).

    `timescales` are those of the media files by rendition id; they are used where the segment
    times are exact in them. `steering_url` is where players ask which of `pathways` to take;
    empty: nowhere, and there are none.
    """
    return MpdWriter(presentation, url=url, timescales=timescales).text(steering_url, pathways)


class MpdWriter:
    """An MPD but for its pathways, with which it is told as often as one likes: the rest, which
    takes the time, is written once."""

    def __init__(
        self,
        presentation: Presentation,
        *,
        url: str | None = None,
        timescales: Mapping[str, int] | None = None,
    ) -> None:
        """As `write_mpd`."""
        url = presentation.url if url is None else url
        duration_s = max(
            representation.duration_s
            for _, representations in presentation.tracks()
            for representation in representations
        )
        longest_s = max(
            segment.duration_s
            for _, representations in presentation.tracks()
            for representation in representations
            for segment in representation.segments
        )
        root = _tag(
            "MPD",
            xmlns=NAMESPACE,
            profiles=PROFILE,
            type="static",
            mediaPresentationDuration=_duration(duration_s),
            minBufferTime=_duration(longest_s),
            maxSegmentDuration=_duration(longest_s),
        )
        self._before = f'<?xml version="1.0" encoding="UTF-8"?>\n{root}'
        lines = ['  <Period id="0" start="PT0S">']
        for number, group in enumerate(_adaptation_sets(presentation)):
            lines += _adaptation_set(group, str(number), url, duration_s, timescales or {})
        lines += ["  </Period>", "</MPD>", ""]
        self._after = "\n".join(lines)

    def text(self, steering_url: str = "", pathways: Sequence[Pathway] = (HOME,)) -> str:
        steering = dash_lines(steering_url, pathways) if steering_url else ()
        return "\n".join((self._before, *steering, self._after))


def _adaptation_sets(presentation: Presentation) -> list[tuple[Representation, ...]]:
    """Representations a player may switch between: of one kind, codec family and language."""
    groups: dict[tuple[str, str, str | None], list[Representation]] = {}
    for kind, representations in presentation.tracks():
        for representation in representations:
            rendition = representation.rendition
            family = rendition.codecs.partition(".")[0]
            groups.setdefault((kind, family, rendition.language), []).append(representation)
    return [tuple(group) for group in groups.values()]


def _adaptation_set(
    group: Sequence[Representation],
    set_id: str,
    url: str,
    period_s: float,
    timescales: Mapping[str, int],
) -> Iterator[str]:
    first = group[0].rendition
    yield "    " + _tag(
        "AdaptationSet",
        id=set_id,
        contentType=first.kind,
        mimeType=f"{first.kind}/mp4",
        lang=first.language,
        segmentAlignment="true" if _are_aligned(group) else None,
        startWithSAP="1",
    )
    for representation in group:
        rendition = representation.rendition
        yield "      " + _tag(
            "Representation",
            id=rendition.id,
            codecs=rendition.codecs or None,
            bandwidth=bps_from_kbps(announced_rates_kbps(representation)[0]),
            width=rendition.width,
            height=rendition.height,
            frameRate=fraction_text(rendition.frame_rate) if rendition.frame_rate else None,
            audioSamplingRate=rendition.sample_rate_hz,
        )
        if rendition.channel_count is not None:
            yield "        " + _tag(
                "AudioChannelConfiguration",
                closed=True,
                schemeIdUri=CHANNEL_SCHEME,
                value=rendition.channel_count,
            )
        for line in _addressing(representation, url, period_s, timescales.get(rendition.id)):
            yield "        " + line
        yield "      </Representation>"
    yield "    </AdaptationSet>"


def _are_aligned(group: Sequence[Representation]) -> bool:
    first = group[0].segments
    return all(
        len(other.segments) == len(first)
        and all(
            abs(one.start_s - two.start_s) <= EXACT_S and abs(one.end_s - two.end_s) <= EXACT_S
            for one, two in zip(first, other.segments, strict=True)
        )
        for other in group[1:]
    )


def _addressing(
    representation: Representation, url: str, period_s: float, wanted_timescale: int | None
) -> Iterator[str]:
    segments = representation.segments
    if not segments:
        raise LocalProtocolError(f"rendition {representation.rendition.id} has no segments")
    if representation.later_inits:
        raise LocalProtocolError("MPDs are written for representations of one init")
    timescale = choose_timescale(representation.rendition, segments, wanted_timescale)
    times = ticks(segments, timescale)
    duration = _constant_duration(times, period_s, timescale)
    urls = [relative(url, segment.url) for segment in segments]
    has_ranges = any(segment.byte_range is not None for segment in segments)
    init = representation.init
    pattern = None if has_ranges else numbered(urls)
    if pattern is not None and (init is None or init.byte_range is None):
        yield from _template(pattern, init, url, timescale, times, duration)
    else:
        yield from _list(urls, segments, init, url, timescale, times, duration)


def _template(
    pattern: NumberedUrls,
    init: Segment | None,
    url: str,
    timescale: int,
    times: Sequence[tuple[int, int]],
    duration: int | None,
) -> Iterator[str]:
    yield _tag(
        "SegmentTemplate",
        closed=duration is not None,
        timescale=timescale,
        duration=duration,
        startNumber=pattern.first_no,
        initialization=None if init is None else relative(url, init.url).replace("$", "$$"),
        media=pattern.dash_template(),
    )
    if duration is None:
        yield from _timeline(times)
        yield "</SegmentTemplate>"


def _list(
    urls: Sequence[str],
    segments: Sequence[Segment],
    init: Segment | None,
    url: str,
    timescale: int,
    times: Sequence[tuple[int, int]],
    duration: int | None,
) -> Iterator[str]:
    yield _tag("SegmentList", timescale=timescale, duration=duration)
    if init is not None:
        yield "  " + _tag(
            "Initialization",
            closed=True,
            sourceURL=relative(url, init.url),
            range=_range(init.byte_range),
        )
    if duration is None:
        yield from _timeline(times)
    for place, segment in zip(urls, segments, strict=True):
        yield "  " + _tag(
            "SegmentURL", closed=True, media=place, mediaRange=_range(segment.byte_range)
        )
    yield "</SegmentList>"


def _timeline(times: Sequence[tuple[int, int]]) -> Iterator[str]:
    """S elements; a run of equal durations without gaps is one of them."""
    yield "  <SegmentTimeline>"
    runs: list[tuple[int, int, int]] = []
    for start, duration in times:
        if runs:
            first, length, count = runs[-1]
            if length == duration and start == first + count * length:
                runs[-1] = (first, length, count + 1)
                continue
        runs.append((start, duration, 1))
    expected = None
    for start, duration, count in runs:
        yield "    " + _tag(
            "S",
            closed=True,
            t=None if start == expected else start,
            d=duration,
            r=count - 1 if count > 1 else None,
        )
        expected = start + count * duration
    yield "  </SegmentTimeline>"


def _constant_duration(
    times: Sequence[tuple[int, int]], period_s: float, timescale: int
) -> int | None:
    """The duration all segments share (the last one may be cut by the Period's end), or None if
    there is none from which a reader would work out exactly these segments."""
    duration = times[0][1]
    if any(
        start != index * duration or (length != duration and index + 1 < len(times))
        for index, (start, length) in enumerate(times)
    ):
        return None
    end = times[-1][0] + times[-1][1]
    # The Period must end with this representation: a longer one would promise more segments.
    is_last = abs(end / timescale - period_s) <= EXACT_S
    return duration if is_last and times[-1][1] == duration else None


def _duration(time_s: float) -> str:
    """An xs:duration in seconds, to the nanosecond."""
    text = f"{Decimal(time_s):.9f}".rstrip("0").rstrip(".")
    return f"PT{text}S" if math.isfinite(time_s) else "PT0S"


def _range(byte_range: ByteRange | None) -> str | None:
    return None if byte_range is None else f"{byte_range.first}-{byte_range.last}"


def _tag(name: str, *, closed: bool = False, **attributes: str | int | None) -> str:
    made = "".join(
        f" {key}={quoteattr(str(value))}" for key, value in attributes.items() if value is not None
    )
    return f"<{name}{made}{'/' if closed else ''}>"
