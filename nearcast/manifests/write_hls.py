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
from nearcast.manifests.steering_tags import HOME, Pathway, hls_attributes, hls_line
from nearcast.manifests.urls import relative
from nearcast.media import ByteRange, Presentation, Representation, Segment
from nearcast.units import bps_from_kbps, kbps

PROTOCOL_VERSION: Final = 7
"""EXT-X-MAP in playlists that are not I-frame only needs 6; 7 is what CMAF is specified with."""

PLAYLIST_NAME: Final = "playlist.m3u8"


def write_master(
    presentation: Presentation,
    *,
    url: str | None = None,
    playlist_urls: Mapping[str, str] | None = None,
    steering_url: str = "",
    pathways: Sequence[Pathway] = (HOME,),
) -> str:
    """The master playlist, with URLs relative to `url` (default: `presentation.url`).

    `playlist_urls` are the media playlists by rendition id; by default each is called
    `playlist.m3u8` and lies beside the rendition's first segment. `steering_url` is where players
    ask which of `pathways` to take, and each variant is listed for each of them; empty: nowhere,
    and there are none.
    """
    writer = MasterWriter(presentation, url=url, playlist_urls=playlist_urls)
    return writer.text(steering_url, pathways)


class _Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A line about a rendition, but for its pathway."""

    rendition_id: str
    group_no: int | None
    """Of audio, from 1: the one it is in, or plays with."""
    attributes: tuple[str, ...]


class MasterWriter:
    """A master playlist but for its pathways, with which it is told as often as one likes: the
    rates, which take the time, are measured once."""

    def __init__(
        self,
        presentation: Presentation,
        *,
        url: str | None = None,
        playlist_urls: Mapping[str, str] | None = None,
    ) -> None:
        """As `write_master`."""
        url = presentation.url if url is None else url
        self._places = {
            representation.rendition.id: relative(url, _playlist_url(representation, playlist_urls))
            for _, representations in presentation.tracks()
            for representation in representations
        }
        self._audio: list[_Listed] = []
        self._variants: list[_Listed] = []
        if not presentation.video:
            self._variants += (_variant(each, None, []) for each in presentation.audio)
            return
        groups = [*enumerate(_audio_groups(presentation.audio), 1)]
        for number, group in groups:
            self._audio += (_audio(each, number, index == 0) for index, each in enumerate(group))
        beside: list[tuple[int | None, list[Representation]]] = [*groups] or [(None, [])]
        self._variants += (
            _variant(each, number, group) for each in presentation.video for number, group in beside
        )

    def text(self, steering_url: str = "", pathways: Sequence[Pathway] = (HOME,)) -> str:
        lines = ["#EXTM3U", f"#EXT-X-VERSION:{PROTOCOL_VERSION}", "#EXT-X-INDEPENDENT-SEGMENTS"]
        if steering_url:
            lines.append(hls_line(steering_url, pathways[0].id))
            for pathway in pathways:
                lines += self._lines(pathway)
        else:
            lines += self._lines(None)
        return "\n".join([*lines, ""])

    def _lines(self, pathway: Pathway | None) -> Iterator[str]:
        for each in self._audio:
            place = f"URI={_quoted(self._place(each, pathway))}"
            group = f"GROUP-ID={_quoted(_group_name(pathway, each.group_no))}"
            tag = ",".join(("TYPE=AUDIO", group, *each.attributes, place))
            yield f"#EXT-X-MEDIA:{tag}{_of(pathway, 'RENDITION', each)}"
        for each in self._variants:
            tag = ",".join(each.attributes)
            if each.group_no is not None:
                tag += f",AUDIO={_quoted(_group_name(pathway, each.group_no))}"
            yield f"#EXT-X-STREAM-INF:{tag}{_of(pathway, 'VARIANT', each)}"
            yield self._place(each, pathway)

    def _place(self, listed: _Listed, pathway: Pathway | None) -> str:
        place = self._places[listed.rendition_id]
        return join(pathway.url, place) if pathway is not None and pathway.url else place


def _of(pathway: Pathway | None, kind: Literal["VARIANT", "RENDITION"], listed: _Listed) -> str:
    return "" if pathway is None else hls_attributes(kind, listed.rendition_id, pathway.id)


def _group_name(pathway: Pathway | None, number: int | None) -> str:
    """video.js takes the pathway's name for that of its first audio group when it clones one."""
    name = "audio" if pathway is None else pathway.id
    return name if number == 1 else f"{name}{number}"


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


def _audio(representation: Representation, group_no: int, is_default: bool) -> _Listed:
    rendition = representation.rendition
    parts: list[str] = []
    if rendition.language is not None:
        parts.append(f"LANGUAGE={_quoted(rendition.language)}")
    parts.append(f"NAME={_quoted(rendition.language or rendition.id)}")
    parts += [f"DEFAULT={'YES' if is_default else 'NO'}", "AUTOSELECT=YES"]
    if rendition.channel_count is not None:
        parts.append(f'CHANNELS="{rendition.channel_count}"')
    if rendition.sample_rate_hz is not None:
        parts.append(f"SAMPLE-RATE={rendition.sample_rate_hz}")
    return _Listed(rendition_id=rendition.id, group_no=group_no, attributes=tuple(parts))


def _variant(
    representation: Representation, group_no: int | None, group: Sequence[Representation]
) -> _Listed:
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
    return _Listed(rendition_id=rendition.id, group_no=group_no, attributes=tuple(parts))


def _range(byte_range: ByteRange) -> str:
    return f"{byte_range.size_bytes}@{byte_range.first}"


def _quoted(text: str) -> str:
    """An attribute's quoted string, which has no way to hold quotes or line ends."""
    return '"' + "".join(" " if mark in '"\r\n' else mark for mark in text) + '"'
