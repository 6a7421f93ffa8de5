"""A player alone with a fluid link of constant latency, on a virtual clock.

Much simpler than `simulation.link` on purpose: what a test expects can be worked out by hand, and
the player is checked against something it shares no code with.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import numpy as np

from abr import events as ev
from abr.config import PlayerConfig
from abr.viewer import PlayItem, ViewerCore, ViewingPlan
from nearcast.manifests import write_mpd
from nearcast.media import Presentation, Rendition, Representation, Segment, TrackKind
from nearcast.record import ListRecorder
from predictor.bandwidth import Prior

BASE = "http://edge.test/media/film"
MPD = f"{BASE}/manifest.mpd"
STEERING_URL = "http://steering.test/v1/steering/film"
CHUNK_BYTES = 16_384


def representation(
    name: str, kind: TrackKind, bitrate_kbps: float, count: int, duration_s: float
) -> Representation:
    """Constant rate, sizes known, an init segment of its own."""
    segments = tuple(
        Segment(
            url=f"{BASE}/{name}/{number}.m4s",
            start_s=(number - 1) * duration_s,
            duration_s=duration_s,
            size_bytes=round(bitrate_kbps * 125 * duration_s),
        )
        for number in range(1, count + 1)
    )
    rendition = Rendition(
        id=name,
        kind=kind,
        codecs="avc1.64001f" if kind == "video" else "mp4a.40.2",
        peak_kbps=bitrate_kbps,
        average_kbps=bitrate_kbps,
    )
    init = Segment(url=f"{BASE}/{name}/init.mp4", start_s=0.0, duration_s=0.0, size_bytes=1)
    return Representation(rendition=rendition, init=init, segments=segments)


def presentation(
    ladder_kbps: tuple[float, ...] = (1000.0,),
    *,
    audio_kbps: float | tuple[float, ...] | None = None,
    count: int = 10,
    duration_s: float = 2.0,
) -> Presentation:
    video = tuple(
        representation(f"v{rung}", "video", kbps, count, duration_s)
        for rung, kbps in enumerate(ladder_kbps)
    )
    audio: tuple[Representation, ...] = ()
    if audio_kbps is not None:
        ladder = (audio_kbps,) if isinstance(audio_kbps, float) else audio_kbps
        audio = tuple(
            representation(f"a{rung}", "audio", kbps, count, duration_s)
            for rung, kbps in enumerate(ladder)
        )
    return Presentation(url=MPD, duration_s=count * duration_s, video=video, audio=audio)


class Flow:
    """One answer on its way. `left_bytes` shrink at the link's rate divided by the open flows."""

    def __init__(self, request: ev.SendRequest, head_at_s: float) -> None:
        self.request = request
        self.head_at_s: float | None = head_at_s
        self.size_bytes = 0
        self.left_bytes = 0.0
        self.told_bytes = 0
        self.text: bytes | None = None


class World:
    """`rate_kbps` maps a time to the link's rate and is constant within each 0.1 s; `flow_kbps`
    bounds what the answer for one URL gets of it. All hosts have the same files; `hangs` never
    answers, `breaks_after` so many bytes the connection breaks, and with an `etag` the rest can be
    asked for. With `steering` the manifest names a steering server, which says what that returns,
    or nothing."""

    def __init__(
        self,
        core: ViewerCore,
        title: Presentation,
        *,
        rate_kbps: Callable[[float], float] | float = 8000.0,
        latency_s: float = 0.0,
        flow_kbps: Callable[[str], float] = lambda url: float("inf"),
        cache_status: Callable[[str], str | None] = lambda url: None,
        failure: Callable[[ev.SendRequest], ev.ResponseFailed | None] = lambda request: None,
        hangs: Callable[[ev.SendRequest], bool] = lambda request: False,
        breaks_after: Callable[[ev.SendRequest], int | None] = lambda request: None,
        etag: str | None = None,
        takes_ranges: bool = True,
        steering: Callable[[ev.AskSteering], ev.Event | None] | None = None,
    ) -> None:
        self.core = core
        self.now_s = 0.0
        self.sent: list[tuple[float, ev.SendRequest]] = []
        self.cancelled: list[int] = []
        self.reported: list[ev.ReportFailure] = []
        self.ended: list[ev.SessionEnded] = []
        steering_url = "" if steering is None else STEERING_URL
        self._text = write_mpd(title, steering_url=steering_url).encode()
        self.asked: list[tuple[float, ev.AskSteering]] = []
        self._steering = steering or (lambda question: None)
        self._questions: dict[int, tuple[float, ev.AskSteering]] = {}
        self._sizes = _sizes(title)
        self._rate = rate_kbps if callable(rate_kbps) else lambda _, kbps=rate_kbps: kbps
        self._latency_s = latency_s
        self._flow_kbps = flow_kbps
        self._cache_status = cache_status
        self._failure = failure
        self._hangs = hangs
        self._breaks_after = breaks_after
        self._etag = etag
        self._takes_ranges = takes_ranges
        self._flows: dict[int, Flow] = {}
        self.on_step: Callable[[], None] = lambda: None
        self.delivered_bytes = 0.0

    def run(self, *, until_s: float = 1000.0) -> None:
        """Press play and go on until all is over."""
        self.feed(ev.Start())
        while self.now_s < until_s and not self.is_over:
            self._step(until_s)

    @property
    def open_count(self) -> int:
        return len(self._flows)

    @property
    def open_media_urls(self) -> list[str]:
        open_now = [flow.request for flow in self._flows.values()]
        return [each.url for each in open_now if each.kind in ("init", "segment")]

    @property
    def is_over(self) -> bool:
        return self.core.is_done

    def feed(self, event: ev.Event) -> None:
        self.core.handle(event, self.now_s)
        self._drain()

    def _drain(self) -> None:
        while effects := self.core.drain():
            for effect in effects:
                if isinstance(effect, ev.SendRequest):
                    self.sent.append((self.now_s, effect))
                    self._flows[effect.request_id] = Flow(effect, self.now_s + self._latency_s)
                elif isinstance(effect, ev.ReportFailure):
                    self.reported.append(effect)
                elif isinstance(effect, ev.AskSteering):
                    self.asked.append((self.now_s, effect))
                    due_s = self.now_s + self._latency_s
                    self._questions[effect.request_id] = due_s, effect
                elif isinstance(effect, ev.CancelRequest):
                    self.cancelled.append(effect.request_id)
                    if self._questions.pop(effect.request_id, None) is None:
                        del self._flows[effect.request_id]
                elif isinstance(effect, ev.SessionEnded):
                    self.ended.append(effect)
        self.on_step()

    def _step(self, until_s: float) -> None:
        """Move to whatever comes first, and let it happen."""
        flowing = [flow for flow in self._flows.values() if flow.head_at_s is None]
        share = self._rate(self.now_s) * 125.0 / max(len(flowing), 1)  # bytes a second
        times = [until_s, (int(self.now_s * 10 + 1e-6) + 1) / 10]
        times += [
            f.head_at_s
            for f in self._flows.values()
            if f.head_at_s is not None and not self._hangs(f.request)
        ]
        times += [max(at_s, self.now_s) for at_s, _ in self._questions.values()]
        due_s = self.core.deadline_s()
        times += [] if due_s is None else [due_s]
        rates = [min(share, self._flow_kbps(flow.request.url) * 125.0) for flow in flowing]
        if share > 0:
            pairs = zip(flowing, rates, strict=True)
            times += [self.now_s + _to_next_chunk(flow) / rate for flow, rate in pairs]
        then_s = max(self.now_s, min(times))
        for flow, rate in zip(flowing, rates, strict=True):
            moved = min(rate * (then_s - self.now_s), max(flow.left_bytes, 0.0))
            flow.left_bytes -= moved
            self.delivered_bytes += moved
        self.now_s = then_s
        for flow in list(self._flows.values()):
            if self._flows.get(flow.request.request_id) is flow:
                self._tell(flow)
        for request_id, (at_s, question) in list(self._questions.items()):
            if self.now_s >= at_s:
                self._say(request_id, question)
        if due_s is not None and self.now_s >= due_s:
            self.core.advance(self.now_s)
            self._drain()

    def _say(self, request_id: int, question: ev.AskSteering) -> None:
        said = self._steering(question)
        if said is None:
            self._questions[request_id] = float("inf"), question
        else:
            del self._questions[request_id]
            self.feed(said)

    def _tell(self, flow: Flow) -> None:
        request_id = flow.request.request_id
        if flow.head_at_s is not None:
            if self.now_s >= flow.head_at_s - 1e-12 and not self._hangs(flow.request):
                self._open(flow)
            return
        breaks_after = self._breaks_after(flow.request)
        received = flow.size_bytes - max(0, round(flow.left_bytes))
        if breaks_after is not None and received >= breaks_after:
            del self._flows[request_id]
            self.feed(ev.BytesArrived(request_id=request_id, received_bytes=received))
            self.feed(ev.ResponseFailed(request_id=request_id, detail="connection reset"))
        elif flow.left_bytes <= 1e-3:
            del self._flows[request_id]
            self.feed(
                ev.ResponseEnded(request_id=request_id, size_bytes=flow.size_bytes, text=flow.text)
            )
        elif received - flow.told_bytes >= CHUNK_BYTES:
            flow.told_bytes = received
            self.feed(ev.BytesArrived(request_id=request_id, received_bytes=received))

    def _open(self, flow: Flow) -> None:
        request = flow.request
        failed = self._failure(request)
        if failed is not None:
            del self._flows[request.request_id]
            self.feed(failed)
            return
        flow.head_at_s = None
        wanted = request.byte_range if self._takes_ranges else None
        if request.kind == "manifest":
            flow.text = self._text
            flow.size_bytes = len(self._text)
        elif wanted is not None:
            flow.size_bytes = wanted.size_bytes
        else:
            flow.size_bytes = self._sizes[urlsplit(request.url).path]
        # Manifests come at once, so that what a test works out by hand need not know their size.
        flow.left_bytes = 0.0 if request.kind == "manifest" else float(flow.size_bytes)
        self.delivered_bytes += flow.size_bytes - flow.left_bytes
        self.feed(
            ev.ResponseStarted(
                request_id=request.request_id,
                status=200 if wanted is None else 206,
                url=request.url,
                cache_status=self._cache_status(request.url),
                size_bytes=flow.size_bytes,
                content_range=wanted,
                validator=self._etag,
            )
        )


def _to_next_chunk(flow: Flow) -> float:
    received = flow.size_bytes - flow.left_bytes
    return min(flow.left_bytes, max(flow.told_bytes + CHUNK_BYTES - received, 1.0))


def _sizes(title: Presentation) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for each in (*title.video, *title.audio):
        for segment in (*([each.init] if each.init else []), *each.segments):
            sizes[urlsplit(segment.url).path] = segment.size_bytes or 0
    return sizes


def viewer(
    *items: PlayItem,
    config: PlayerConfig | None = None,
    recorder: ListRecorder | None = None,
    generator: np.random.Generator | None = None,
    prior: Prior | None = None,
) -> ViewerCore:
    plan = ViewingPlan(viewer_id="v", items=items or (PlayItem(url=MPD),))
    return ViewerCore.from_config(
        config or PlayerConfig(),
        plan,
        recorder=recorder or ListRecorder(),
        generator=generator,
        prior=prior,
    )
