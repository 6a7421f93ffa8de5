"""The manifests of a title, written from its catalogue entry when it is first asked for.

They are not kept on disk: a better writer serves better manifests without packaging anew.
"""

from __future__ import annotations

from typing import Final

import msgspec

from nearcast.manifests import write_master, write_media, write_mpd
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

DASH_TYPE: Final = "application/dash+xml"
HLS_TYPE: Final = "application/vnd.apple.mpegurl"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    content_type: str
    text: bytes


STEERING_PREFIX: Final = "/v1/steering/"
"""Followed by the title's id: where players ask which edge to take."""


def manifests_of(title: Title, *, steering_url: str = "") -> dict[str, Manifest]:
    """Every manifest of `title` by its path below the title. `steering_url` is the origin of the
    steering server; empty: manifests do not speak of steering."""
    presentation = title.presentation()
    urls = {
        entry.rendition.id: BASE_URL + media_path(title.id, entry.rendition.id, PLAYLIST_NAME)
        for entry in title.renditions
    }
    timescales = {
        entry.rendition.id: VIDEO_HZ if entry.rendition.kind == "video" else AUDIO_HZ
        for entry in title.renditions
    }
    master_url = BASE_URL + media_path(title.id, MASTER_NAME)
    asked = f"{steering_url.rstrip('/')}{STEERING_PREFIX}{title.id}" if steering_url else ""
    dash = write_mpd(presentation, timescales=timescales, steering_url=asked)
    master = write_master(presentation, url=master_url, playlist_urls=urls, steering_url=asked)
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
