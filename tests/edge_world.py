"""An edge's core with an origin that has three episodes, and viewers to watch them."""

from __future__ import annotations

from collections import deque

from cache.http.headers import get_one
from edge.effects import (
    CancelFill,
    Effect,
    PauseFill,
    Predict,
    ReadManifest,
    ResumeFill,
    ServeFill,
    ServeObject,
    ServeText,
    StartFill,
)
from edge.events import (
    CatalogLearned,
    Event,
    FillEnded,
    FillHeaders,
    FillProgress,
    Hit,
    HitsServed,
    Requested,
    ResponseEnded,
)
from edge.texts import read_manifest
from nearcast.cmcd import Cmcd, to_query
from nearcast.manifests import write_master, write_media, write_mpd
from nearcast.media import Presentation, Rendition, Representation, Segment, TrackKind
from nearcast.messages import Catalog, TitleEntry
from tests.edge_bench import UPSTREAM, Bench

SEGMENT_S = 4.0
SEGMENT_COUNT = 10
RUNG_KBPS = {"low": 400.0, "high": 1600.0}
SEGMENT_BYTES = {"low": 20_000, "high": 80_000, "sound": 6_000}
LONG = (("cache-control", "max-age=86400"), ("etag", '"v1"'))
CATALOG_URL = UPSTREAM + "/v1/catalog"


def episode_catalog(count: int = 3) -> Catalog:
    return Catalog(
        revision="1",
        titles=tuple(
            TitleEntry(
                id=f"e{no}",
                name=f"Episode {no}",
                duration_s=SEGMENT_S * SEGMENT_COUNT,
                dash=f"/base/media/e{no}/manifest.mpd",
                hls=f"/base/media/e{no}/master.m3u8",
                series="Series",
                season_no=1,
                episode_no=no,
            )
            for no in range(1, count + 1)
        ),
    )


def episode(no: int) -> Presentation:
    """Forty seconds of two rungs and sound."""
    folder = f"{UPSTREAM}/media/e{no}"

    def representation(name: str, kind: TrackKind, rate_kbps: float) -> Representation:
        return Representation(
            rendition=Rendition(
                id=name,
                kind=kind,
                codecs="avc1.64001f" if kind == "video" else "mp4a.40.2",
                peak_kbps=rate_kbps,
                average_kbps=rate_kbps,
            ),
            init=Segment(url=f"{folder}/{name}/init.mp4", start_s=0.0, duration_s=0.0),
            segments=tuple(
                Segment(
                    url=f"{folder}/{name}/{index + 1}.m4s",
                    start_s=index * SEGMENT_S,
                    duration_s=SEGMENT_S,
                )
                for index in range(SEGMENT_COUNT)
            ),
        )

    return Presentation(
        url=f"{folder}/manifest.mpd",
        duration_s=SEGMENT_S * SEGMENT_COUNT,
        video=tuple(representation(name, "video", rate) for name, rate in RUNG_KBPS.items()),
        audio=(representation("sound", "audio", 96.0),),
    )


class World(Bench):
    """A bench with an origin that has episodes, and a driver that fetches at once.

    `hold` names the priorities whose fills stay unanswered until `let_go`.
    """

    def __init__(self, *, is_in_fleet: bool = False, **settings: object) -> None:
        super().__init__(is_in_fleet=is_in_fleet, **settings)
        self.hold: tuple[str, ...] = ()
        self.held: dict[int, StartFill] = {}
        self.paused: set[int] = set()
        self.fetched: list[tuple[str, str]] = []
        """Priority and path of every fill, in order."""
        self.predicts: list[Predict] = []
        self.begin_s = 0.0
        self.next_segment = 0
        self.texts = episode_texts()
        self.run(CatalogLearned(base_url=CATALOG_URL, catalog=episode_catalog()))

    def run(self, event: Event) -> list[Effect]:
        """Feed an event and do all that follows from it."""
        return self._follow(self.feed(event))

    def _follow(self, effects: list[Effect]) -> list[Effect]:
        seen = list(effects)
        events = deque(event for effect in effects for event in self._perform(effect))
        while events:
            effects = self.feed(events.popleft())
            seen += effects
            for effect in effects:
                events.extend(self._perform(effect))
        return seen

    def _perform(self, effect: Effect) -> list[Event]:
        match effect:
            case StartFill():
                path = effect.url.removeprefix(UPSTREAM)
                self.fetched.append((effect.priority, path))
                if effect.priority in self.hold:
                    self.held[effect.fill_id] = effect
                    return []
                return self.answer(effect)
            case PauseFill():
                self.paused.add(effect.fill_id)
            case ResumeFill():
                self.paused.discard(effect.fill_id)
            case CancelFill():
                self.held.pop(effect.fill_id, None)
                self.paused.discard(effect.fill_id)
            case ReadManifest():
                return [read_manifest(effect)]
            case Predict():
                self.predicts.append(effect)
            case ServeObject() | ServeFill() | ServeText():
                return [ResponseEnded(request_id=effect.request_id, sent_bytes=body_bytes(effect))]
        return []

    def answer(self, effect: StartFill) -> list[Event]:
        path = effect.url.removeprefix(UPSTREAM)
        text = self.texts.get(path)
        size = len(text) if text is not None else SEGMENT_BYTES[path.split("/")[3]]
        return [
            FillHeaders(
                fill_id=effect.fill_id,
                status=200,
                headers=(*LONG, ("content-length", str(size))),
            ),
            FillProgress(fill_id=effect.fill_id, received_bytes=size),
            FillEnded(fill_id=effect.fill_id, size_bytes=size, crc32c=0, text=text),
        ]

    def let_go(self) -> None:
        """Answer what is held, oldest first."""
        while self.held:
            effect = self.held.pop(next(iter(self.held)))
            for event in self.answer(effect):
                self.run(event)

    def get(
        self,
        path: str,
        *,
        sid: str | None = None,
        buffer_s: float | None = None,
        client: str = "c",
    ) -> list[Effect]:
        """A client asks for a path; hits are reported at once."""
        query = ""
        if sid is not None:
            query = "?CMCD=" + to_query(Cmcd(session_id=sid, buffer_s=buffer_s))
        self.last_id += 1
        request = Requested(
            request_id=self.last_id,
            method="GET",
            target=path + query,
            headers=(("user-agent", "player"),),
            client=client,
        )
        found = self.core.find_hit(request, self.now_s)
        if found is None:
            return self.run(request)
        hit = Hit(
            at_s=self.now_s,
            target=request.target,
            headers=request.headers,
            client=client,
            object_id=found.object_id,
            sent_bytes=body_bytes(found),
        )
        return [found, *self.run(HitsServed(hits=(hit,)))]

    def move_to(self, now_s: float) -> list[Effect]:
        """Let time pass, waking the core when it wants to be."""
        seen: list[Effect] = []
        while (deadline_s := self.core.deadline_s()) is not None and deadline_s <= now_s:
            assert deadline_s >= self.now_s - 1e-6, "a deadline in the past was not served"
            self.now_s = max(deadline_s, self.now_s)
            seen += self._advance()
        self.now_s = now_s
        return seen + self._advance()

    def _advance(self) -> list[Effect]:
        self.core.advance(self.now_s)
        return self._follow(self.core.drain())

    def watch(self, no: int, until_s: float, **how: str) -> None:
        """Play an episode in real time from now on, to `until_s` on its time line.

        `rung`, `sid` and `client` say how; with a `sid` the player tells its buffer.
        """
        self.begin_s = self.now_s
        self.next_segment = 0
        for path in ("manifest.mpd", f"{how.get('rung', 'low')}/init.mp4"):
            self.get(f"/media/e{no}/{path}", sid=how.get("sid"), client=how.get("client", "c"))
        self.watch_on(no, until_s, **how)

    def watch_on(self, no: int, until_s: float, **how: str) -> None:
        """Go on playing, asking for each segment a segment's length before it is shown."""
        sid = how.get("sid")
        while self.next_segment < SEGMENT_COUNT:
            start_s = self.next_segment * SEGMENT_S
            if start_s - SEGMENT_S > until_s:
                break
            self.move_to(max(self.begin_s + start_s - SEGMENT_S, self.now_s))
            self.next_segment += 1
            buffer_s = start_s - (self.now_s - self.begin_s) if sid is not None else None
            for track in (how.get("rung", "low"), "sound"):
                self.get(
                    f"/media/e{no}/{track}/{self.next_segment}.m4s",
                    sid=sid,
                    buffer_s=buffer_s,
                    client=how.get("client", "c"),
                )
        self.move_to(max(self.begin_s + until_s, self.now_s))

    def prefetched(self) -> list[str]:
        return [path for priority, path in self.fetched if priority == "prefetch"]


def body_bytes(answer: ServeObject | ServeFill | ServeText) -> int:
    return int(get_one(answer.headers, "content-length") or 0)


def episode_texts() -> dict[str, bytes]:
    """The manifests of three episodes, by path."""
    texts: dict[str, bytes] = {}
    for no in range(1, 4):
        presentation = episode(no)
        folder = f"/media/e{no}"
        texts[f"{folder}/manifest.mpd"] = write_mpd(presentation).encode()
        playlists = {
            one.rendition.id: f"{UPSTREAM}{folder}/{one.rendition.id}/playlist.m3u8"
            for one in (*presentation.video, *presentation.audio)
        }
        master_url = f"{UPSTREAM}{folder}/master.m3u8"
        texts[f"{folder}/master.m3u8"] = write_master(
            presentation, url=master_url, playlist_urls=playlists
        ).encode()
        for one in (*presentation.video, *presentation.audio):
            texts[f"{folder}/{one.rendition.id}/playlist.m3u8"] = write_media(
                one, url=playlists[one.rendition.id]
            ).encode()
    return texts
