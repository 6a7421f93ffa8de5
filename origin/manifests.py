"""The manifests of a title, written from its catalogue entry when it is first asked for.

They are not kept on disk: a better writer serves better manifests without packaging anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from nearcast.manifests import write_master, write_media, write_mpd
from nearcast.steering import ORIGIN_PATHWAY
from origin.catalog import (
    AUDIO_HZ,
    BASE_URL,
    DASH_NAME,
    MASTER_NAME,
    PLAYLIST_NAME,
    VIDEO_HZ,
    Title,
    media_path,
)
from origin.steering.asked import Asked, stable_ids, write_asked
from origin.steering.asked import steering_url as steering_url_of

DASH_TYPE: Final = "application/dash+xml"
HLS_TYPE: Final = "application/vnd.apple.mpegurl"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    content_type: str
    text: bytes


def manifests_of(title: Title, *, steering_url: str = "") -> dict[str, Manifest]:
    """Every manifest of `title` by its path below the title. `steering_url` is the origin as
    players reach it, who ask there which edge to take; empty: manifests do not speak of steering.
    """
    presentation = title.presentation()
    urls = {
        entry.rendition.id: BASE_URL + media_path(title.id, entry.rendition.id, PLAYLIST_NAME)
        for entry in title.renditions
    }
    timescales = {
        entry.rendition.id: VIDEO_HZ if entry.rendition.kind == "video" else AUDIO_HZ
        for entry in title.renditions
    }
    dash = write_mpd(
        presentation,
        timescales=timescales,
        steering_url=_asked_url(title, steering_url, (), ()),
        origin_url=_at_origin(title, steering_url, DASH_NAME),
    )
    video = [one.rendition.id for one in presentation.video]
    audio = [one.rendition.id for one in presentation.audio]
    master = write_master(
        presentation,
        url=BASE_URL + media_path(title.id, MASTER_NAME),
        playlist_urls=urls,
        steering_url=_asked_url(title, steering_url, video or audio, audio if video else ()),
        origin_url=_at_origin(title, steering_url, MASTER_NAME),
    )
    made = {
        DASH_NAME: Manifest(content_type=DASH_TYPE, text=dash.encode()),
        MASTER_NAME: Manifest(content_type=HLS_TYPE, text=master.encode()),
    }
    for representation in (*presentation.video, *presentation.audio):
        rendition_id = representation.rendition.id
        playlist = write_media(representation, url=urls[rendition_id])
        made[f"{rendition_id}/{PLAYLIST_NAME}"] = Manifest(
            content_type=HLS_TYPE, text=playlist.encode()
        )
    return made


def _asked_url(
    title: Title, origin_url: str, variants: Sequence[str], renditions: Sequence[str]
) -> str:
    if not origin_url:
        return ""
    asked = Asked(
        base=ORIGIN_PATHWAY, variants=stable_ids(variants), renditions=stable_ids(renditions)
    )
    return steering_url_of(origin_url, title.id, write_asked(asked))


def _at_origin(title: Title, origin_url: str, name: str) -> str:
    return origin_url.rstrip("/") + media_path(title.id, name) if origin_url else ""
