"""What to fetch next of a successor, for one viewer.

    start  the manifest (and the playlists of an HLS title), the initialisation of the rung that
           the viewer is on now and its first `start_s`, picture and sound in step. A plan of its
           own for each other rung that the player may well begin with: the same at that rung
    head   its first `head_s`
    rest   everything after that, once the viewer has come as far as `rest_at`

The rung is looked up each time, so what is not fetched yet follows the viewer's switches. What is
there already, from whichever viewer, is passed over. Segments that are byte ranges of one large
file are left alone: fetching them ahead would mean fetching the whole file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from cache.http.headers import Headers
from edge.media_map import MediaMap, Title
from edge.prefetch.plans import Source, Want
from edge.prefetch.value import Use
from edge.sessions import Session
from edge.viewers import Rung
from nearcast.media import Representation, Segment, TrackKind
from nearcast.units import bytes_per_s_from_kbps

PLAYLISTS_MAX: Final = 16
"""Media playlists fetched per title: the player may start on another rung than it ended on."""

TEXT_BYTES_EXPECTED: Final = 20_000
INIT_BYTES_EXPECTED: Final = 2_000
_KINDS: Final[tuple[TrackKind, ...]] = ("video", "audio")


class Staged(Protocol):
    """A plan of which the next object is looked for here."""

    about_url: str
    begins_on: Rung | None
    """Only about its first seconds at this rung."""
    is_rest_wanted: bool
    next_index: dict[TrackKind, int]
    """Segments before it are there, on their way, or not to be had."""

    @property
    def rungs(self) -> Mapping[TrackKind, Rung]:
        """What its viewer is on, as of now."""

    @property
    def headers(self) -> Headers: ...


class Intent:
    """That a viewer's successor should be here before it is asked for: a plan of edge.prefetch."""

    def __init__(
        self,
        name: str,
        session: Session,
        successor_url: str,
        source: Source,
        staging: Staging,
        *,
        begins_on: Rung | None = None,
    ) -> None:
        """`begins_on`: only about its first seconds at this rung."""
        self.name = name
        self.session = session
        self.viewer_key = session.name
        self.is_bounded = False
        self.about_url = successor_url
        self.source: Source = source
        self.probabilities: tuple[float, ...] = ()
        self.chance = 0.0
        self.order_no = 0
        self.is_rest_wanted = False
        self.next_index: dict[TrackKind, int] = {"video": 0, "audio": 0}
        """Segments before it are there, on their way, or not to be had."""
        self.begins_on = begins_on
        self._staging = staging

    @property
    def rungs(self) -> Mapping[TrackKind, Rung]:
        return self.session.rungs

    @property
    def headers(self) -> Headers:
        return self.session.shared_headers

    def next_want(self, now_s: float) -> Want | None:
        return self._staging.next_want(self, now_s)

    def wants(self, url: str) -> bool:
        return self._staging.wants(self, url)


class Staging:
    """Finds the next object of an intent."""

    def __init__(
        self,
        head_s: float,
        start_s: float,
        *,
        media_map: MediaMap,
        is_settled: Callable[[str, Headers, float], bool],
        is_coming: Callable[[str], bool],
    ) -> None:
        """`is_settled(url, headers, now_s)`: it is here, on its way, or not to be had;
        `is_coming(url)`: it is on its way."""
        self._head_s = head_s
        self._start_s = start_s
        self._map = media_map
        self._is_settled = is_settled
        self._is_coming = is_coming

    def next_want(self, intent: Staged, now_s: float) -> Want | None:
        """None: nothing is left, or something that is on its way must come first."""
        title = self._map.title(intent.about_url)
        if title is None:
            if self._is_settled(intent.about_url, intent.headers, now_s):
                return None
            return Want(intent.about_url, TEXT_BYTES_EXPECTED, "start")
        missing = [
            url
            for url in _playlists(title, intent.rungs.get("video"))
            if url not in title.playlists
        ]
        for url in missing:
            if not self._is_settled(url, intent.headers, now_s):
                return Want(url, TEXT_BYTES_EXPECTED, "start")
        if any(self._is_coming(url) for url in missing):
            return None  # until all are here, the nearest rung known may be the wrong one
        return self._next_piece(intent, title, now_s)

    def wants(self, intent: Staged, url: str) -> bool:
        """Whether a piece that was wanted still is: the viewer may have switched."""
        title = self._map.title(intent.about_url)
        for place in self._map.places(url):
            if title is None or place.title_url != intent.about_url:
                continue
            one = nearest(title.representations(place.kind), _rung(intent, place.kind))
            return one is not None and one.rendition.id == place.representation_id
        return True  # a text, or of a title that is not known yet

    def _next_piece(self, intent: Staged, title: Title, now_s: float) -> Want | None:
        chosen: dict[TrackKind, Representation] = {}
        for kind in _KINDS if intent.begins_on is None else _KINDS[:1]:
            one = nearest(title.representations(kind), _rung(intent, kind))
            if one is None or any(segment.byte_range for segment in one.segments[:1]):
                continue
            chosen[kind] = one
            if one.init is not None and not self._is_settled(one.init.url, intent.headers, now_s):
                return piece(one, one.init, "start")
        # A start-up waits for these few, so they are looked for each time: what another viewer has
        # used meanwhile is an object like any other, and may have had to go.
        for one in chosen.values():
            for segment in one.segments:
                if segment.start_s >= min(self._start_s, self._head_s):
                    break
                if not self._is_settled(segment.url, intent.headers, now_s):
                    return piece(one, segment, "start")
        stages: list[tuple[float, Use]] = []
        if intent.begins_on is None:
            stages.append((self._head_s, "head"))
            if intent.is_rest_wanted:
                stages.append((float("inf"), "rest"))
        for until_s, use in stages:
            want = self._next_segment(intent, chosen, until_s, use, now_s)
            if want is not None:
                return want
        return None

    def _next_segment(
        self,
        intent: Staged,
        chosen: dict[TrackKind, Representation],
        until_s: float,
        use: Use,
        now_s: float,
    ) -> Want | None:
        while (track := _earliest(chosen, intent.next_index, until_s)) is not None:
            one = chosen[track]
            segment = one.segments[intent.next_index[track]]
            if not self._is_settled(segment.url, intent.headers, now_s):
                return piece(one, segment, use)
            intent.next_index[track] += 1
        return None


def _rung(intent: Staged, kind: TrackKind) -> Rung | None:
    if intent.begins_on is not None and kind == "video":
        return intent.begins_on
    return intent.rungs.get(kind)


def piece(one: Representation, segment: Segment, use: Use) -> Want:
    """A segment as something to fetch; as large as the manifest says, else as its rate makes
    likely."""
    rate_kbps = one.rendition.average_kbps
    rate_bytes_per_s = bytes_per_s_from_kbps(rate_kbps)
    size_bytes = segment.size_bytes or int(rate_bytes_per_s * segment.duration_s)
    return Want(segment.url, size_bytes or INIT_BYTES_EXPECTED, use, rate_kbps)


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
