"""Write HLS playlists from a presentation.

EXT-X-BITRATE goes with each segment whose size is known: with it a player can tell the rate of
audio, for which the master has no place, and foresee the size of a segment.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

import msgspec

from nearcast.errors import LocalProtocolError
from nearcast.manifests.limits import join
from nearcast.manifests.rates import announced_rates_kbps
from nearcast.manifests.steering_tags import hls_attributes, hls_line
from nearcast.manifests.urls import relative
from nearcast.media import ByteRange, Presentation, Representation, Segment
from nearcast.steering import HOME_PATHWAY, ORIGIN_PATHWAY
from nearcast.units import bps_from_kbps, kbps

PROTOCOL_VERSION: Final = 7
"""EXT-X-MAP in playlists that are not I-frame only needs 6; 7 is what CMAF is specified with."""

PLAYLIST_NAME: Final = "playlist.m3u8"


class _Pathway(msgspec.Struct, frozen=True, kw_only=True):
    """A pathway of a master, and its playlists by rendition id."""

    id: str = ""
    """Empty: without content steering."""
    places: Mapping[str, str]

    def attributes(self, kind: Literal["VARIANT", "RENDITION"], rendition_id: str) -> str:
        return hls_attributes(kind, rendition_id, self.id) if self.id else ""

    def group(self, number: int) -> str:
        """The name of an audio group, from 1. video.js takes the pathway's for that of its first
        group when it clones one."""
        name = self.id or "audio"
        return name if number == 1 else f"{name}{number}"


def write_master(
    presentation: Presentation,
    *,
    url: str | None = None,
    playlist_urls: Mapping[str, str] | None = None,
    steering_url: str = "",
    origin_url: str = "",
) -> str:
    """The master playlist, with URLs relative to `url` (default: `presentation.url`).

    `playlist_urls` are the media playlists by rendition id; by default each is called
    `playlist.m3u8` and lies beside the rendition's first segment. `steering_url` is where players
    ask which pathway to take (empty: nowhere), and `origin_url` this master's own URL there where
    it always is: then each variant is listed for that pathway, too.
    """
    url = presentation.url if url is None else url
    places = {
        representation.rendition.id: relative(url, _playlist_url(representation, playlist_urls))
        for _, representations in presentation.tracks()
        for representation in representations
    }
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{PROTOCOL_VERSION}", "#EXT-X-INDEPENDENT-SEGMENTS"]
    if not steering_url:
        return "\n".join([*lines, *_pathway_lines(presentation, _Pathway(places=places)), ""])
    lines += [hls_line(steering_url)]
    lines += _pathway_lines(presentation, _Pathway(id=HOME_PATHWAY, places=places))
    if origin_url:
        there = {name: join(origin_url, place) for name, place in places.items()}
        lines += _pathway_lines(presentation, _Pathway(id=ORIGIN_PATHWAY, places=there))
    return "\n".join([*lines, ""])


def _pathway_lines(presentation: Presentation, pathway: _Pathway) -> Iterator[str]:
    if not presentation.video:
        for representation in presentation.audio:
            yield from _variant_lines(representation, None, [], pathway)
        return
    groups = {
        pathway.group(number): group
        for number, group in enumerate(_audio_groups(presentation.audio), 1)
    }
    for name, group in groups.items():
        for index, representation in enumerate(group):
            yield _media_tag(name, representation, index == 0, pathway)
    beside: list[tuple[str | None, list[Representation]]] = [*groups.items()] or [(None, [])]
    for representation in presentation.video:
        for group_name, group in beside:
            yield from _variant_lines(representation, group_name, group, pathway)


def write_media(representation: Representation, *, url: str) -> str:
    """The media playlist of one rendition, with URLs relative to its own `url`."""
    segments = representation.segments
    if not segments:
        raise LocalProtocolError(f"rendition {representation.rendition.id} has no segments")
    if representation.later_inits:
        raise LocalProtocolError("playlists are written for representations of one init")
    longest_s = max(segment.duration_s for segment in segments)
    lines = [
        "#EXTM3U",
        f"#EXT-X-VERSION:{PROTOCOL_VERSION}",
        # Each EXTINF, rounded to a whole number, must not exceed it (RFC 8216, 4.3.3.1).
        f"#EXT-X-TARGETDURATION:{max(1, math.floor(longest_s + 0.5))}",
        "#EXT-X-MEDIA-SEQUENCE:1",
        "#EXT-X-PLAYLIST-TYPE:VOD",
        "#EXT-X-INDEPENDENT-SEGMENTS",
    ]
    if representation.init is not None:
        init = representation.init
        byte_range = init.byte_range
        attributes = f"URI={_quoted(relative(url, init.url))}"
        if byte_range is not None:
            attributes += f',BYTERANGE="{_range(byte_range)}"'
        lines.append(f"#EXT-X-MAP:{attributes}")
    lines += _segment_lines(segments, url)
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""])


def _segment_lines(segments: Sequence[Segment], url: str) -> Iterator[str]:
    """Durations are differences of rounded ends, so that their sum never drifts."""
    told_kbps: int | None = None
    end_us = round(segments[0].start_s * 1_000_000)
    for segment in segments:
        start_us, end_us = end_us, round(segment.end_s * 1_000_000)
        if segment.byte_range is None and segment.size_bytes is not None:
            rate_kbps = max(1, round(kbps(segment.size_bytes, segment.duration_s)))
            if rate_kbps != told_kbps:
                yield f"#EXT-X-BITRATE:{rate_kbps}"
                told_kbps = rate_kbps
        whole, rest = divmod(max(1, end_us - start_us), 1_000_000)
        yield f"#EXTINF:{whole}.{rest:06d},"
        if segment.byte_range is not None:
            yield f"#EXT-X-BYTERANGE:{_range(segment.byte_range)}"
        yield relative(url, segment.url)


def _playlist_url(representation: Representation, given: Mapping[str, str] | None) -> str:
    if given is not None:
        return given[representation.rendition.id]
    if not representation.segments:
        raise LocalProtocolError(f"rendition {representation.rendition.id} has no segments")
    return representation.segments[0].url.partition("?")[0].rpartition("/")[0] + "/" + PLAYLIST_NAME


def _audio_groups(audio: tuple[Representation, ...]) -> list[list[Representation]]:
    """A group holds at most one rendition of each language; every variant goes with each group."""
    groups: list[list[Representation]] = []
    seen: Counter[str | None] = Counter()
    for representation in audio:
        language = representation.rendition.language
        if seen[language] == len(groups):
            groups.append([])
        groups[seen[language]].append(representation)
        seen[language] += 1
    return groups


def _media_tag(
    group: str, representation: Representation, is_default: bool, pathway: _Pathway
) -> str:
    rendition = representation.rendition
    parts = ["TYPE=AUDIO", f"GROUP-ID={_quoted(group)}"]
    if rendition.language is not None:
        parts.append(f"LANGUAGE={_quoted(rendition.language)}")
    parts.append(f"NAME={_quoted(rendition.language or rendition.id)}")
    parts += [f"DEFAULT={'YES' if is_default else 'NO'}", "AUTOSELECT=YES"]
    if rendition.channel_count is not None:
        parts.append(f'CHANNELS="{rendition.channel_count}"')
    if rendition.sample_rate_hz is not None:
        parts.append(f"SAMPLE-RATE={rendition.sample_rate_hz}")
    parts.append(f"URI={_quoted(pathway.places[rendition.id])}")
    return "#EXT-X-MEDIA:" + ",".join(parts) + pathway.attributes("RENDITION", rendition.id)


def _variant_lines(
    representation: Representation,
    group_name: str | None,
    group: list[Representation],
    pathway: _Pathway,
) -> Iterator[str]:
    rendition = representation.rendition
    peak_kbps, average_kbps = announced_rates_kbps(representation)
    beside = [announced_rates_kbps(other) for other in group]
    peak_kbps += max((rates[0] for rates in beside), default=0.0)
    average_kbps += max((rates[1] for rates in beside), default=0.0)
    codecs = dict.fromkeys(
        one.rendition.codecs for one in (representation, *group) if one.rendition.codecs
    )
    parts = [
        f"BANDWIDTH={bps_from_kbps(peak_kbps)}",
        f"AVERAGE-BANDWIDTH={bps_from_kbps(average_kbps)}",
    ]
    if codecs:
        parts.append(f"CODECS={_quoted(','.join(codecs))}")
    if rendition.width is not None and rendition.height is not None:
        parts.append(f"RESOLUTION={rendition.width}x{rendition.height}")
    if rendition.frame_rate is not None:
        parts.append(f"FRAME-RATE={rendition.frame_rate:.3f}")
    if group_name is not None:
        parts.append(f"AUDIO={_quoted(group_name)}")
    yield "#EXT-X-STREAM-INF:" + ",".join(parts) + pathway.attributes("VARIANT", rendition.id)
    yield pathway.places[rendition.id]


def _range(byte_range: ByteRange) -> str:
    return f"{byte_range.size_bytes}@{byte_range.first}"


def _quoted(text: str) -> str:
    """An attribute's quoted string, which has no way to hold quotes or line ends."""
    return '"' + "".join(" " if mark in '"\r\n' else mark for mark in text) + '"'
