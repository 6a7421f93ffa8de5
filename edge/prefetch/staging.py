"""What to fetch next of a successor, for one viewer.

    head   the manifest (and the playlists of an HLS title), the initialisation of the rung that
           the viewer is on now and its first `head_s`, picture and sound in step
    start  the first `start_s` at other rungs that the player may well begin with
    rest   everything after that, once the viewer has come as far as `rest_at`

The rung is looked up each time, so what is not fetched yet follows the viewer's switches. What is
there already, from whichever viewer, is passed over. Segments that are byte ranges of one large
file are left alone: fetching them ahead would mean fetching the whole file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from edge.media_map import MediaMap, Title
from edge.sessions import Session
from edge.viewers import Rung
from nearcast.media import Representation, Segment, TrackKind
from nearcast.units import bytes_per_s_from_kbps

PLAYLISTS_MAX: Final = 16
"""Media playlists fetched per title: the player may start on another rung than it ended on."""

TEXT_BYTES_EXPECTED: Final = 20_000
INIT_BYTES_EXPECTED: Final = 2_000
_KINDS: Final[tuple[TrackKind, ...]] = ("video", "audio")


class Want(msgspec.Struct, frozen=True):
    """One object to fetch, and about how large it is."""

    url: str
    size_bytes: int


class Intent:
    """That a viewer's successor should be here before it is asked for."""

    def __init__(self, session: Session, successor_url: str) -> None:
        self.session = session
        self.successor_url = successor_url
        self.is_rest_wanted = False
        self.next_index: dict[TrackKind, int] = {"video": 0, "audio": 0}
        """Segments before it are there, on their way, or not to be had."""
        self.start_rungs: tuple[Rung, ...] = ()
        """Rungs beside the viewer's that the successor may begin with."""
        self.rests_until_s = 0.0
        """Nothing was left to fetch for it a moment ago."""


class Staging:
    """Finds the next object of an intent."""

    def __init__(
        self,
        head_s: float,
        start_s: float,
        *,
        media_map: MediaMap,
        is_settled: Callable[[str, Session, float], bool],
        is_coming: Callable[[str], bool],
    ) -> None:
        """`is_settled(url, session, now_s)`: it is here, on its way, or not to be had;
        `is_coming(url)`: it is on its way."""
        self._head_s = head_s
        self._start_s = start_s
        self._map = media_map
        self._is_settled = is_settled
        self._is_coming = is_coming

    def next_want(self, intent: Intent, now_s: float, *, with_rest: bool) -> Want | None:
        """None: nothing is left, or something that is on its way must come first."""
        session = intent.session
        title = self._map.title(intent.successor_url)
        if title is None:
            if self._is_settled(intent.successor_url, session, now_s):
                return None
            return Want(intent.successor_url, TEXT_BYTES_EXPECTED)
        missing = [
            url
            for url in _playlists(title, session.rungs.get("video"))
            if url not in title.playlists
        ]
        for url in missing:
            if not self._is_settled(url, session, now_s):
                return Want(url, TEXT_BYTES_EXPECTED)
        if any(self._is_coming(url) for url in missing):
            return None  # until all are here, the nearest rung known may be the wrong one
        return self._next_piece(intent, title, now_s, with_rest=with_rest)

    def _next_piece(
        self, intent: Intent, title: Title, now_s: float, *, with_rest: bool
    ) -> Want | None:
        session = intent.session
        chosen: dict[TrackKind, Representation] = {}
        for kind in _KINDS:
            one = nearest(title.representations(kind), session.rungs.get(kind))
            if one is None or any(segment.byte_range for segment in one.segments[:1]):
                continue
            chosen[kind] = one
            if one.init is not None and not self._is_settled(one.init.url, session, now_s):
                return Want(one.init.url, _size_bytes(one, one.init))
        until_s = float("inf") if with_rest and intent.is_rest_wanted else self._head_s
        return (
            self._next_segment(intent, chosen, min(self._start_s, until_s), now_s)
            or self._next_start(intent, title, now_s)
            or self._next_segment(intent, chosen, until_s, now_s)
        )

    def _next_segment(
        self, intent: Intent, chosen: dict[TrackKind, Representation], until_s: float, now_s: float
    ) -> Want | None:
        while (track := _earliest(chosen, intent.next_index, until_s)) is not None:
            one = chosen[track]
            segment = one.segments[intent.next_index[track]]
            if not self._is_settled(segment.url, intent.session, now_s):
                return Want(segment.url, _size_bytes(one, segment))
            intent.next_index[track] += 1
        return None

    def _next_start(self, intent: Intent, title: Title, now_s: float) -> Want | None:
        for rung in intent.start_rungs:
            one = nearest(title.representations("video"), rung)
            if one is None:
                continue
            pieces = [segment for segment in one.segments if segment.start_s < self._start_s]
            if any(segment.byte_range for segment in pieces):
                continue
            if one.init is not None:
                pieces.insert(0, one.init)
            for piece in pieces:
                if not self._is_settled(piece.url, intent.session, now_s):
                    return Want(piece.url, _size_bytes(one, piece))
        return None


def _size_bytes(representation: Representation, segment: Segment) -> int:
    """As the manifest says, else as its rate makes likely."""
    rate_bytes_per_s = bytes_per_s_from_kbps(representation.rendition.average_kbps)
    return segment.size_bytes or int(rate_bytes_per_s * segment.duration_s) or INIT_BYTES_EXPECTED


def nearest(representations: Sequence[Representation], rung: Rung | None) -> Representation | None:
    """The version of the same name, else that of the nearest rate; the first if none is known."""
    if not representations:
        return None
    if rung is None:
        return representations[0]
    for one in representations:
        if one.rendition.id == rung.representation_id:
            return one
    return min(representations, key=lambda one: abs(one.rendition.average_kbps - rung.rate_kbps))


def _earliest(
    chosen: dict[TrackKind, Representation], next_index: dict[TrackKind, int], until_s: float
) -> TrackKind | None:
    """The track whose next segment starts first."""
    starts = [
        (one.segments[next_index[kind]].start_s, order, kind)
        for order, (kind, one) in enumerate(chosen.items())
        if next_index[kind] < len(one.segments)
    ]
    if not starts:
        return None
    start_s, _, kind = min(starts)
    return kind if start_s < until_s else None


def _playlists(title: Title, rung: Rung | None) -> tuple[str, ...]:
    """The media playlists worth having, the one of the viewer's rung first, then the sound."""
    master = title.master
    if master is None:
        return ()
    video = list(master.video)
    if rung is not None:
        video.sort(key=lambda one: abs((one.average_kbps or one.peak_kbps or 0) - rung.rate_kbps))
    ordered = [*video[:1], *master.audio, *video[1:]]
    return tuple(dict.fromkeys(one.url for one in ordered))[:PLAYLISTS_MAX]
