"""Read HLS playlists (RFC 8216 and its successor's drafts) of a finished title.

A *master* lists variants (video, with or without audio inside) and groups of audio renditions,
each a media playlist of its own; `HlsMaster.assemble` puts a presentation together from those. A
variant that is listed once per audio group is one rendition.

HLS gives the rate of a variant together with its audio. Where the audio playlist tells its own
rate (EXT-X-BITRATE, or byte ranges), it is subtracted, so that rungs compare with those of DASH.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from nearcast.errors import RemoteProtocolError
from nearcast.manifests.limits import (
    RATE_BPS_MAX,
    REPRESENTATION_COUNT_MAX,
    SegmentBudget,
    join,
    shown,
)
from nearcast.manifests.playlist import (
    MediaPlaylist,
    is_master,
    parse_master,
    playlist_lines,
    read_media,
    read_media_lines,
)
from nearcast.manifests.redundant import find_copies
from nearcast.manifests.steering_tags import SteeringTag, read_hls_tag
from nearcast.media import Base, Presentation, Rendition, Representation, TrackKind
from nearcast.units import kbps_from_bps

AUDIO_KBPS_UNKNOWN: Final = 128.0
"""Taken for an audio rendition whose rate no playlist tells: what stereo AAC mostly has."""

VIDEO_KBPS_UNKNOWN: Final = 2000.0
"""Taken for a media playlist without a master. It is the only rung there is, so no choice rests
on it."""

_AUDIO_CODEC = re.compile(r"(mp4a|ac-3|ec-3|ac-4|opus|flac|alac|vorbis|dts|mha|mhm)", re.IGNORECASE)
_DULL_NAMES = frozenset(("playlist", "index", "prog_index", "media", "stream", "chunklist", "main"))


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """A rendition as the master describes it, and its media playlist."""

    url: str
    kind: TrackKind
    codecs: str
    peak_kbps: float | None
    average_kbps: float | None
    width: int | None = None
    height: int | None = None
    frame_rate: float | None = None
    audio_group: str | None = None
    name: str | None = None
    language: str | None = None
    channel_count: int | None = None
    sample_rate_hz: int | None = None


class HlsMaster(msgspec.Struct, frozen=True, kw_only=True):
    """A master playlist: what must be fetched next, and how it fits together."""

    url: str
    video: tuple[Variant, ...]
    audio: tuple[Variant, ...]
    alternates: tuple[tuple[Base, ...], ...] = ()
    """Playlists that are copies of one another; only the first of each is among the above. Where
    there is content steering, all of the above."""
    steering: SteeringTag | None = None

    @property
    def playlist_urls(self) -> tuple[str, ...]:
        """The media playlists, absolute, each once."""
        return tuple(variant.url for variant in (*self.video, *self.audio))

    def assemble(self, playlists: Mapping[str, bytes]) -> Presentation:
        """The presentation, given the text of the media playlists by URL.

        Renditions whose playlist is not given are left out. Raises RemoteProtocolError if none is
        left, or one that is given cannot be read.
        """
        budget = SegmentBudget()
        return self.put_together(
            {
                url: read_media(playlists[url], url, budget)
                for url in self.playlist_urls
                if url in playlists
            }
        )

    def put_together(self, read: Mapping[str, MediaPlaylist]) -> Presentation:
        """As `assemble`, from playlists that have been read before."""
        budget = SegmentBudget()
        budget.take(sum(len(read[url].segments) for url in self.playlist_urls if url in read))
        names = _names(self.playlist_urls)
        audio = [
            _representation(variant, names[variant.url], read[variant.url])
            for variant in self.audio
            if variant.url in read
        ]
        beside: dict[str | None, tuple[float, float]] = {}
        for variant in self.audio:
            rates_kbps = read[variant.url].rates_kbps if variant.url in read else None
            before = beside.get(variant.audio_group, (0.0, 0.0))
            beside[variant.audio_group] = max(before, rates_kbps or (0.0, 0.0))
        beside.pop(None, None)
        video = [
            _representation(
                variant, names[variant.url], read[variant.url], beside.get(variant.audio_group)
            )
            for variant in self.video
            if variant.url in read
        ]
        if not video and not audio:
            raise RemoteProtocolError("none of the master playlist's media playlists could be had")
        video.sort(key=lambda one: one.rendition.peak_kbps)
        return Presentation(
            url=self.url,
            duration_s=max(one.duration_s for one in (*video, *audio)),
            video=tuple(video),
            audio=tuple(audio),
        )


def read_hls(text: bytes, url: str) -> HlsMaster | MediaPlaylist:
    """A master playlist, or a media playlist, which may stand alone."""
    lines = playlist_lines(text)
    if is_master(lines):
        return _read_master(parse_master(lines), url, read_hls_tag(lines, url))
    return read_media_lines(lines, url, SegmentBudget())


def alone(playlist: MediaPlaylist, url: str) -> Presentation:
    """The presentation of a media playlist that no master names."""
    only = Variant(url=url, kind="video", codecs="", peak_kbps=None, average_kbps=None)
    representation = _representation(only, _names((url,))[url], playlist)
    return Presentation(url=url, duration_s=representation.duration_s, video=(representation,))


def _read_master(data: Mapping[str, Any], url: str, steering: SteeringTag | None) -> HlsMaster:
    variants = [_variant(entry, url) for entry in data["playlists"]]
    if not variants:
        raise RemoteProtocolError("the master playlist lists no variant")
    group_codecs: dict[str | None, str] = {}
    for variant in variants:  # the codecs of a group: what its variants name beside their video
        for codec in variant.codecs.split(","):
            if _AUDIO_CODEC.match(codec):
                group_codecs.setdefault(variant.audio_group, codec)
    heard: dict[str, Variant] = {}
    for entry in data["media"]:
        if entry.get("type", "").upper() == "AUDIO" and entry.get("uri"):
            audio = _audio(entry, group_codecs, url)
            heard.setdefault(audio.url, audio)
    alternates = find_copies(data, url, is_steered=steering is not None)
    copies = {base.url for group in alternates for base in group[1:]}
    copies -= {group[0].url for group in alternates}  # one place may be two pathways
    heard = {each: audio for each, audio in heard.items() if each not in copies}
    variants = [variant for variant in variants if variant.url not in copies]
    video: dict[str, Variant] = {}
    audio_only: dict[str, Variant] = {}
    for variant in variants:
        if variant.url in heard:  # the audio alone, offered as a variant: it tells the rate
            known = heard[variant.url]
            if known.peak_kbps is None:
                heard[variant.url] = msgspec.structs.replace(
                    known, peak_kbps=variant.peak_kbps, average_kbps=variant.average_kbps
                )
            continue
        place = video if variant.kind == "video" else audio_only
        seen = place.get(variant.url)
        if seen is None or (variant.peak_kbps or 0.0) < (seen.peak_kbps or 0.0):
            place[variant.url] = variant
    if not video and not heard:
        heard = audio_only
    count = len(video) + len(heard) + len(copies)
    if count > REPRESENTATION_COUNT_MAX:
        raise RemoteProtocolError(
            f"the master playlist lists {count} renditions; at most {REPRESENTATION_COUNT_MAX}"
        )
    return HlsMaster(
        url=url,
        video=tuple(sorted(video.values(), key=lambda one: one.peak_kbps or 0.0)),
        audio=tuple(heard.values()),
        alternates=alternates,
        steering=steering,
    )


def _variant(entry: Mapping[str, Any], base_url: str) -> Variant:
    info = entry["stream_info"]
    peak_kbps = _rate_kbps(info.get("bandwidth"))
    if peak_kbps is None:
        raise RemoteProtocolError(f"variant {shown(entry['uri'])} has no usable BANDWIDTH")
    width, height = _resolution(info.get("resolution"))
    codecs = _codecs(info.get("codecs"))
    audio_codecs = [one for one in codecs if _AUDIO_CODEC.match(one)]
    is_audio = bool(codecs) and len(audio_codecs) == len(codecs) and width is None
    group = info.get("audio")
    return Variant(
        url=join(base_url, entry["uri"]),
        kind="audio" if is_audio else "video",
        codecs=",".join(codecs),
        peak_kbps=peak_kbps,
        average_kbps=_rate_kbps(info.get("average_bandwidth")),
        width=width,
        height=height,
        frame_rate=_frame_rate(info.get("frame_rate")),
        audio_group=group or None,
    )


def _audio(
    entry: Mapping[str, Any], group_codecs: Mapping[str | None, str], base_url: str
) -> Variant:
    group = entry.get("group_id")
    channels = re.match(r"\d{1,3}", entry.get("channels") or "", re.ASCII)
    rate = entry.get("sample_rate") or ""
    return Variant(
        url=join(base_url, entry["uri"]),
        kind="audio",
        codecs=group_codecs.get(group, ""),
        peak_kbps=None,
        average_kbps=None,
        audio_group=group,
        name=entry.get("name"),
        language=entry.get("language") or None,
        channel_count=int(channels[0]) if channels else None,
        sample_rate_hz=int(rate) if re.fullmatch(r"\d{1,9}", rate, re.ASCII) else None,
    )


def _representation(
    variant: Variant,
    name: str,
    playlist: MediaPlaylist,
    beside_kbps: tuple[float, float] | None = None,
) -> Representation:
    """`beside_kbps`: the audio comes in playlists of its own, with these (peak, average) rates, 0
    where they are unknown; None where there is none, or it is inside."""
    peak_kbps, average_kbps = variant.peak_kbps, variant.average_kbps
    codecs = variant.codecs
    if peak_kbps is None:
        unknown_kbps = VIDEO_KBPS_UNKNOWN if variant.kind == "video" else AUDIO_KBPS_UNKNOWN
        peak_kbps, average_kbps = playlist.rates_kbps or (unknown_kbps, unknown_kbps)
    if beside_kbps is not None:
        codecs = ",".join(one for one in codecs.split(",") if not _AUDIO_CODEC.match(one))
        if peak_kbps > beside_kbps[0]:
            peak_kbps -= beside_kbps[0]
        if average_kbps is not None and average_kbps > beside_kbps[1]:
            average_kbps -= beside_kbps[1]
    return Representation(
        rendition=Rendition(
            id=name,
            kind=variant.kind,
            codecs=codecs,
            peak_kbps=peak_kbps,
            average_kbps=average_kbps if average_kbps is not None else peak_kbps,
            width=variant.width,
            height=variant.height,
            frame_rate=variant.frame_rate,
            sample_rate_hz=variant.sample_rate_hz,
            channel_count=variant.channel_count,
            language=variant.language,
        ),
        init=playlist.init,
        later_inits=playlist.later_inits,
        segments=playlist.segments,
    )


def _names(urls: tuple[str, ...]) -> dict[str, str]:
    """An id for each playlist, from its URL: the file's name, or its folder's where the file is
    called `playlist.m3u8` or the like."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for url in urls:
        parts = [part for part in urlsplit(url).path.split("/") if part]
        stem = parts[-1].rpartition(".")[0] or parts[-1] if parts else "media"
        if stem.lower() in _DULL_NAMES and len(parts) > 1:
            stem = parts[-2]
        name, number = stem, 1
        while name in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name)
        names[url] = name
    return names


def _codecs(text: object) -> list[str]:
    parts = text.split(",") if isinstance(text, str) else []
    return [part.strip() for part in parts if part.strip()]


def _rate_kbps(value: object) -> float | None:
    if isinstance(value, int) and 0 < value <= RATE_BPS_MAX:
        return kbps_from_bps(value)
    return None


def _resolution(text: object) -> tuple[int | None, int | None]:
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", str(text or "").strip(), re.ASCII)
    if match is None:
        return None, None
    return int(match[1]) or None, int(match[2]) or None


def _frame_rate(value: object) -> float | None:
    if isinstance(value, float) and math.isfinite(value) and 0 < value <= 1000:
        return value
    return None
