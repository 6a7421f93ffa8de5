"""What a DASH Representation is: its kind, and the attributes that describe it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from lxml import etree

from nearcast.errors import RemoteProtocolError
from nearcast.manifests.elements import children
from nearcast.manifests.limits import decimal
from nearcast.media import TrackKind

VIDEO_CODECS: Final = (
    *("avc", "hvc", "hev", "av01", "vp8", "vp09", "vp9", "dvh", "dva", "vvc", "vvi"),
)
_AUDIO_CODECS: Final = (
    *("mp4a", "ac-3", "ec-3", "ac-4", "opus", "flac", "alac", "vorbis", "dts", "mha"),
)


def track_kind(adaptation_set: etree._Element, representation: etree._Element) -> TrackKind | None:
    """None for what is not played: subtitles, pictures, and what nothing is known of."""
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
        if codecs.startswith(VIDEO_CODECS):
            return "video"
        if codecs.startswith(_AUDIO_CODECS):
            return "audio"
    return None


def is_webm(adaptation_set: etree._Element, representation: etree._Element) -> bool:
    kinds = [element.get("mimeType") for element in (representation, adaptation_set)]
    return next((kind for kind in kinds if kind), "").strip().lower().endswith("/webm")


def optional_number(text: str | None) -> int | None:
    """A describing attribute: nonsense in it is not worth refusing the title."""
    first = (text or "").split()[:1]
    if not first or not re.fullmatch(r"\d{1,9}", first[0], re.ASCII):
        return None
    return int(first[0]) or None


def optional_frame_rate(text: str | None) -> float | None:
    over, _, under = (text or "").strip().partition("/")
    try:
        value = decimal(over, "@frameRate") / decimal(under or "1", "@frameRate")
    except (RemoteProtocolError, ZeroDivisionError):
        return None
    return float(value) if 0 < value <= 1000 else None


def channel_count(elements: Sequence[etree._Element]) -> int | None:
    """What the innermost of `elements`, listed from the outside in, says."""
    for element in reversed(elements):
        for configuration in children(element, "AudioChannelConfiguration"):
            if "23003:3" in (configuration.get("schemeIdUri") or ""):
                return optional_number(configuration.get("value"))
    return None
