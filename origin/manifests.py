"""The manifests of a title, written from its catalogue entry when it is first asked for.

They are not kept on disk: a better writer serves better manifests without packaging anew.

With a site (this origin as players reach it) they speak of content steering: players ask there
which edge to take. Everybody's name two pathways, wherever they came from and the origin. One
client's name the edges it is to take instead, the best first, and the origin: for players that make
no clones of pathways (Shaka's minified builds), and for those that know nothing of steering, which
take the first and fail over to the next. `home` is not among them, as nobody is to keep such a
text and pass it on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from nearcast.manifests import HOME, MasterWriter, MpdWriter, Pathway, write_media
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
from origin.steering.asked import Asked, stable_ids, steering_url, write_asked
from origin.steering.clones import NamedEdge

DASH_TYPE: Final = "application/dash+xml"
HLS_TYPE: Final = "application/vnd.apple.mpegurl"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    content_type: str
    text: bytes


class TitleManifests:
    """Those of one title: what takes time is done once."""

    def __init__(self, title: Title, *, site_url: str = "") -> None:
        """`site_url`: the origin as players reach it; empty: no word of steering."""
        self._title_id = title.id
        self._site_url = site_url.rstrip("/")
        presentation = title.presentation()
        urls = {
            entry.rendition.id: BASE_URL + media_path(title.id, entry.rendition.id, PLAYLIST_NAME)
            for entry in title.renditions
        }
        timescales = {
            entry.rendition.id: VIDEO_HZ if entry.rendition.kind == "video" else AUDIO_HZ
            for entry in title.renditions
        }
        self._mpd = MpdWriter(presentation, timescales=timescales)
        self._master = MasterWriter(
            presentation, url=BASE_URL + media_path(title.id, MASTER_NAME), playlist_urls=urls
        )
        video = [one.rendition.id for one in presentation.video]
        audio = [one.rendition.id for one in presentation.audio]
        self._asked = {
            DASH_NAME: Asked(base=ORIGIN_PATHWAY),
            MASTER_NAME: Asked(
                base=ORIGIN_PATHWAY,
                format="hls",
                variants=stable_ids(video or audio),
                renditions=stable_ids(audio if video else ()),
            ),
        }
        self.by_name: Mapping[str, Manifest] = {
            **{name: self._written(name, None) for name in self._asked},
            **{
                f"{each.rendition.id}/{PLAYLIST_NAME}": Manifest(
                    content_type=HLS_TYPE,
                    text=write_media(each, url=urls[each.rendition.id]).encode(),
                )
                for each in (*presentation.video, *presentation.audio)
            },
        }
        """Everybody's, by their path below the title."""

    def for_client(self, name: str, edges: Sequence[NamedEdge]) -> Manifest | None:
        """The manifest of that name for a client that is to take `edges`; None where it does not
        speak of steering."""
        if not self._site_url or name not in self._asked:
            return None
        return self._written(name, edges)

    def _written(self, name: str, edges: Sequence[NamedEdge] | None) -> Manifest:
        """`edges`: None for everybody's."""
        place = media_path(self._title_id, name)
        origin = Pathway(id=ORIGIN_PATHWAY, url=self._site_url + place)
        listed = tuple(
            Pathway(id=edge.id, url=edge.url.rstrip("/") + place) for edge in edges or ()
        )
        pathways = (*((HOME,) if edges is None else listed), origin)
        asked = msgspec.structs.replace(
            self._asked[name], listed=tuple(pathway.id for pathway in listed)
        )
        url = ""
        if self._site_url:
            url = steering_url(self._site_url, self._title_id, write_asked(asked))
        if name == DASH_NAME:
            return Manifest(content_type=DASH_TYPE, text=self._mpd.text(url, pathways).encode())
        return Manifest(content_type=HLS_TYPE, text=self._master.text(url, pathways).encode())
