"""Whatever happens to an edge, in whatever order, its promises hold.

every request is answered exactly once (or its client left), and never after it ended
what the core counts as resident is what the driver was told to hold
a fill that was given up causes nothing any more
every fill ends once: Commit, Discard, CancelFill or a failure
looking for a hit changes nothing
nobody waits for an upstream that says nothing for longer than the patience that is set
prefetches do not start or run while a client waits for upstream, nor beyond their budget
"""

from __future__ import annotations

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge.config import EdgeConfig, HttpConfig, PrefetchConfig, SessionsConfig
from edge.core import EdgeCore
from edge.effects import (
    AbortResponse,
    CancelFill,
    Commit,
    Discard,
    DropObject,
    Effect,
    FetchCatalog,
    PassThrough,
    PauseFill,
    Predict,
    PurgeDone,
    ReadManifest,
    ReadObject,
    ResumeFill,
    ServeFill,
    ServeObject,
    ServeText,
    SetFillPriority,
    SetInMemory,
    StartFill,
    StoredObject,
    StreamOnly,
    UpdateStored,
)
from edge.events import (
    CatalogLearned,
    ClientLeft,
    Draining,
    Event,
    FailureCause,
    FillBlocked,
    FillEnded,
    FillFailed,
    FillHeaders,
    FillProgress,
    Headers,
    Hit,
    HitsServed,
    ModelChanged,
    ObjectLost,
    ObjectRead,
    Predicted,
    PredictionFailed,
    Purge,
    PurgeKind,
    Reconfigured,
    Requested,
    ResponseEnded,
    Restored,
)
from edge.prefetch.wording import WIDTH, lines
from edge.texts import read_manifest
from nearcast.media import ByteRange
from nearcast.record import NullRecorder
from tests.edge_bench import EPOCH_S, UPSTREAM
from tests.edge_world import CATALOG_URL, SEGMENT_COUNT, episode_catalog, episode_texts

CAPACITY = 400_000
RATE_KBPS = 400.0
RATE_BYTES_PER_S = 50_000.0
BURST_S = 1.0
PATIENCE_S = 20.0
"""More than one fetch may take to give its head."""
TEXTS = episode_texts()
MANIFESTS = [f"/media/e{no}/{name}" for no in (1, 2, 3) for name in ("manifest.mpd", "master.m3u8")]
SEGMENTS = [
    f"/media/e{no}/{track}/{piece}"
    for no in (1, 2)
    for track in ("low", "sound")
    for piece in ("init.mp4", *(f"{index + 1}.m4s" for index in range(SEGMENT_COUNT)))
]
PATHS = st.sampled_from(["/a", "/b", "/c/../d", *MANIFESTS, *SEGMENTS])
METHODS = st.sampled_from(["GET"] * 12 + ["HEAD", "POST", "TRACE"])
REQUEST_HEADERS = st.sampled_from(
    [
        (),
        (),
        (("range", "bytes=5-9"),),
        (("range", "bytes=-3"),),
        (("if-none-match", '"v"'),),
        (("cache-control", "no-cache"),),
        (("cache-control", "only-if-cached"),),
        (("accept-language", "de"),),
        (("cookie", "a=b"),),
        (("cmcd-request", "bl=4000"), ("cmcd-session", 'sid="s"')),
    ]
)
RESPONSES: list[tuple[int, Headers]] = [
    (200, (("cache-control", "max-age=600"), ("etag", '"v"'))),
    (200, (("cache-control", "max-age=600"), ("etag", '"v"'))),
    (200, (("cache-control", "max-age=1"), ("etag", '"v"'))),
    (200, (("cache-control", "max-age=60"), ("vary", "accept-language"))),
    (200, (("cache-control", "no-store"),)),
    (200, (("content-length", "7"), ("content-length", "8"))),
    (304, (("etag", '"v"'),)),
    (304, (("etag", '"w"'),)),
    (404, ()),
    (503, ()),
    (206, ()),
    (200, (("cache-control", "max-age=600"), ("etag", '"v"'), ("cache-tag", "red, blue"))),
]
CAUSES: list[FailureCause] = ["refused", "timeout", "broken", "integrity", "disk"]


class Fetch:
    """A fill as the driver sees it."""

    def __init__(self, effect: StartFill) -> None:
        self.effect = effect
        self.priority = effect.priority
        self.is_paused = False
        self.is_blocked = False
        self.is_stream_only = False
        self.has_head = False
        self.received_bytes = 0
        self.size_bytes = 0
        self.unasked_bytes = 0


class EdgeMachine(RuleBasedStateMachine):
    """The drivers of one edge, doing what they may do in any order."""

    def __init__(self) -> None:
        super().__init__()
        config = self.config = EdgeConfig(
            upstream=UPSTREAM,
            store="somewhere",
            capacity_bytes=CAPACITY,
            memory_bytes=100_000,
            object_bytes_max=150_000,
            http=HttpConfig(fills_max=8, passes_max=4, waiters_max=5, range_wait_bytes_max=1000),
            sessions=SessionsConfig(idle_s=30.0, count_max=4, viewers_max=4, titles_max=3),
            prefetch=PrefetchConfig(
                rate_kbps=RATE_KBPS,
                burst_s=BURST_S,
                lifetime_s=300.0,
                answer_wait_s=2.0,
                observed_min=1,
                plans_max=3,
                explained_max=5,
            ),
        )
        self.core = EdgeCore.from_config(config, epoch_s=EPOCH_S, recorder=NullRecorder())
        self.now_s = 0.0
        self.last_request_id = 0
        self.waiting: set[int] = set()
        self.answered: dict[int, Effect] = {}
        self.passing: set[int] = set()
        self.fetches: dict[int, Fetch] = {}
        self.ended: dict[int, int] = {}
        """Fills whose end was told and not yet answered, and their size."""
        self.dead: list[int] = []
        self.streamed: set[int] = set()
        self.purged: set[int] = set()
        """Fills begun before what they fetch was purged."""
        self.purges = 0
        self.purge_counts: dict[int, int] = {}
        self.urls: dict[str, str] = {}
        """Of what is held, by object id."""
        self.held: dict[str, int] = {}
        self.sent: list[Hit] = []
        self.reads: list[str] = []
        self.manifests: list[ReadManifest] = []
        self.predictions: list[int] = []
        self.is_draining = False
        self.prefetched_bytes = 0
        self.overshoot_bytes = 0
        self.take(self.core.drain())

    @initialize(has_catalog=st.sampled_from([True, True, False]))
    def begin(self, has_catalog: bool) -> None:
        if has_catalog:
            self.catalog()

    # -- the driver

    def feed(self, event: Event) -> None:
        self.core.handle(event, self.now_s)
        self.take(self.core.drain())

    def take(self, effects: list[Effect]) -> None:
        for effect in effects:
            self.perform(effect)

    def perform(self, effect: Effect) -> None:
        match effect:
            case ServeObject() | ServeFill() | ServeText() | PassThrough():
                assert effect.request_id in self.waiting, "answered twice, or after it ended"
                self.waiting.remove(effect.request_id)
                self.answered[effect.request_id] = effect
                if isinstance(effect, PassThrough):
                    self.passing.add(effect.request_id)
                elif isinstance(effect, ServeFill):
                    assert self.fetches[effect.fill_id].has_head
                elif isinstance(effect, ServeObject):
                    assert effect.object_id in self.held
                    self.check_range(effect.byte_range, self.held[effect.object_id])
            case AbortResponse(request_id=request_id):
                assert isinstance(self.answered[request_id], ServeFill)
            case StartFill():
                assert effect.fill_id not in self.fetches
                assert effect.url.startswith(UPSTREAM + "/")
                self.fetches[effect.fill_id] = Fetch(effect)
                if effect.priority == "prefetch":
                    assert not self.is_draining
            case SetFillPriority(fill_id=fill_id, priority=priority):
                self.fetches[fill_id].priority = priority
            case PauseFill(fill_id=fill_id):
                assert self.fetches[fill_id].priority == "prefetch"
                self.fetches[fill_id].is_paused = True
            case ResumeFill(fill_id=fill_id):
                self.fetches[fill_id].is_paused = False
            case CancelFill(fill_id=fill_id):
                del self.fetches[fill_id]
                self.dead.append(fill_id)
            case StreamOnly(fill_id=fill_id):
                assert not self.fetches[fill_id].is_stream_only
                self.fetches[fill_id].is_stream_only = True
            case Commit(fill_id=fill_id, stored=stored):
                assert fill_id not in self.streamed, "what is not kept cannot be stored"
                assert fill_id not in self.purged, "begun before the purge"
                assert self.ended.pop(fill_id) == stored.size_bytes
                assert stored.object_id not in self.held
                self.held[stored.object_id] = stored.size_bytes
                self.urls[stored.object_id] = stored.url
            case Discard(fill_id=fill_id):
                del self.ended[fill_id]
            case DropObject(object_id=object_id):
                del self.held[object_id]
                self.urls.pop(object_id, None)
            case PurgeDone(purge_id=purge_id, count=count):
                assert purge_id not in self.purge_counts
                self.purge_counts[purge_id] = count
            case UpdateStored(stored=stored):
                assert self.held[stored.object_id] == stored.size_bytes
            case SetInMemory(object_id=object_id):
                assert object_id in self.held
            case ReadObject(object_id=object_id):
                self.reads.append(object_id)
            case ReadManifest():
                self.manifests.append(effect)
                assert len(self.manifests) == 1, "one at a time"
            case Predict():
                self.predictions.append(effect.prediction_id)
            case FetchCatalog():
                pass
            case _:
                raise AssertionError(effect)

    def check_range(self, byte_range: ByteRange | None, size_bytes: int) -> None:
        if byte_range is not None:
            assert 0 <= byte_range.first <= byte_range.last < size_bytes

    def pick(self, data: st.DataObject, fills: list[int]) -> Fetch:
        return self.fetches[data.draw(st.sampled_from(sorted(fills)))]

    # -- what may happen

    @rule(path=PATHS, method=METHODS, headers=REQUEST_HEADERS, client=st.sampled_from("xy"))
    def request(self, path: str, method: str, headers: Headers, client: str) -> None:
        self.last_request_id += 1
        request = Requested(
            request_id=self.last_request_id,
            method=method,
            target=path,
            headers=headers,
            client=client,
        )
        before = self.core.status(self.now_s)
        found = self.core.find_hit(request, self.now_s)
        assert self.core.drain() == []
        assert self.core.status(self.now_s) == before
        if found is None:
            self.waiting.add(request.request_id)
            self.feed(request)
            return
        self.check_range(found.byte_range, self.held[found.object_id])
        size = found.byte_range.size_bytes if found.byte_range else self.held[found.object_id]
        self.sent.append(
            Hit(
                at_s=self.now_s,
                target=path,
                headers=headers,
                client=client,
                object_id=found.object_id,
                sent_bytes=size if found.send_body else 0,
            )
        )

    @rule()
    def report_hits(self) -> None:
        hits, self.sent = tuple(self.sent), []
        self.feed(HitsServed(hits=hits))

    @rule(path=PATHS, is_prefix=st.booleans(), is_soft=st.booleans())
    def purge(self, path: str, is_prefix: bool, is_soft: bool) -> None:
        value = path.rpartition("/")[0] + "/" if is_prefix else path
        url = UPSTREAM + value

        def is_meant(other: str) -> bool:
            return other.startswith(url) if is_prefix else other == url

        held = {one for one, its in self.urls.items() if is_meant(its)}
        self.purged |= {i for i, f in self.fetches.items() if is_meant(f.effect.url)}
        self.purges += 1
        kind: PurgeKind = "prefix" if is_prefix else "url"
        self.feed(Purge(purge_id=self.purges, kind=kind, value=value, is_soft=is_soft))
        assert self.purge_counts[self.purges] == len(held)
        assert is_soft or held.isdisjoint(self.held)
        if not is_prefix:
            request = Requested(
                request_id=0, method="GET", target=path, headers=(), client="operator"
            )
            assert self.core.find_hit(request, self.now_s) is None

    @rule(tag=st.sampled_from(["red", "blue", "green"]), is_soft=st.booleans())
    def purge_tag(self, tag: str, is_soft: bool) -> None:
        self.purges += 1
        self.feed(Purge(purge_id=self.purges, kind="tag", value=tag, is_soft=is_soft))
        assert self.purges in self.purge_counts

    @rule(freshness_s=st.sampled_from([0.0, 60.0]), fills_max=st.sampled_from([1, 8]))
    def other_settings(self, freshness_s: float, fills_max: int) -> None:
        http = msgspec.structs.replace(
            self.config.http, default_freshness_s=freshness_s, fills_max=fills_max
        )
        self.feed(Reconfigured(config=msgspec.structs.replace(self.config, http=http)))

    def exchange(self, path: str, headers: Headers = ()) -> None:
        """A request whose fill, if it needs one, is answered at once."""
        last_id = max([*self.fetches, *self.dead], default=0)
        self.request(path, "GET", headers, "x")
        for fill_id in sorted(self.fetches):
            fetch = self.fetches[fill_id]
            if fill_id > last_id and fetch.priority == "demand" and not fetch.has_head:
                self.head(fetch, *RESPONSES[0])
                if fill_id in self.fetches:
                    self.end(fetch)
        self.report_hits()

    @rule(
        no=st.sampled_from([1, 1, 2]),
        index=st.integers(4, SEGMENT_COUNT - 1),
        name=st.sampled_from(["manifest.mpd", "master.m3u8"]),
    )
    def watch(self, no: int, index: int, name: str) -> None:
        """A viewer has come to this segment of an episode."""
        folder = f"/media/e{no}"
        if name == "master.m3u8":
            for track in ("low", "sound"):
                self.exchange(f"{folder}/{track}/playlist.m3u8")
        self.exchange(f"{folder}/{name}")
        said = f'bl=0,sf={"d" if name.endswith("mpd") else "h"},sid="s{no}"'
        self.exchange(f"{folder}/low/{index + 1}.m4s", (("cmcd-request", said),))
        self.time_passes(0.5)

    @rule()
    def everyone_goes(self) -> None:
        """No client waits any more."""
        for request_id in sorted(self.waiting | self.answered.keys()):
            self.end_request(request_id, is_whole=True)
        self.time_passes(0.01)

    @precondition(lambda self: any(not f.has_head for f in self.fetches.values()))
    @rule(data=st.data(), response=st.sampled_from(RESPONSES))
    def head_arrives(self, data: st.DataObject, response: tuple[int, Headers]) -> None:
        fetch = self.pick(data, [i for i, f in self.fetches.items() if not f.has_head])
        self.head(fetch, *response)

    def head(self, fetch: Fetch, status: int, headers: Headers) -> None:
        path = fetch.effect.url.removeprefix(UPSTREAM)
        fetch.size_bytes = 0 if status == 304 else len(TEXTS.get(path, b"x" * 30_000))
        fetch.has_head = True
        if not any(name == "content-length" for name, _ in headers) and status != 304:
            headers = (*headers, ("content-length", str(fetch.size_bytes)))
        self.feed(FillHeaders(fill_id=fetch.effect.fill_id, status=status, headers=headers))

    @precondition(lambda self: any(f.has_head and not f.is_paused for f in self.fetches.values()))
    @rule(data=st.data(), is_end=st.booleans())
    def body_arrives(self, data: st.DataObject, is_end: bool) -> None:
        going = [i for i, f in self.fetches.items() if f.has_head and not f.is_paused]
        fetch = self.pick(data, going)
        if is_end:
            self.end(fetch)
            return
        arrived = (fetch.size_bytes + fetch.received_bytes) // 2
        self.arrive(fetch, arrived)
        self.feed(FillProgress(fill_id=fetch.effect.fill_id, received_bytes=arrived))

    def end(self, fetch: Fetch) -> None:
        fill_id = fetch.effect.fill_id
        path = fetch.effect.url.removeprefix(UPSTREAM)
        self.arrive(fetch, fetch.size_bytes)
        del self.fetches[fill_id]
        if fetch.is_stream_only:
            self.streamed.add(fill_id)
        self.ended[fill_id] = fetch.size_bytes
        self.feed(
            FillEnded(fill_id=fill_id, size_bytes=fetch.size_bytes, crc32c=0, text=TEXTS.get(path))
        )
        assert fill_id not in self.ended, "an ended fill was neither kept nor let go"
        self.dead.append(fill_id)

    @precondition(lambda self: self.fetches)
    @rule(data=st.data())
    def fill_is_blocked(self, data: st.DataObject) -> None:
        """Readers or the disk fall behind, or catch up."""
        fetch = self.pick(data, list(self.fetches))
        fetch.is_blocked = not fetch.is_blocked
        self.feed(FillBlocked(fill_id=fetch.effect.fill_id, is_blocked=fetch.is_blocked))

    def arrive(self, fetch: Fetch, arrived_bytes: int) -> None:
        fresh_bytes = arrived_bytes - fetch.received_bytes
        fetch.received_bytes = arrived_bytes
        if fetch.priority == "prefetch":
            self.prefetched_bytes += fresh_bytes
            self.overshoot_bytes = max(self.overshoot_bytes, fresh_bytes)

    @precondition(lambda self: self.fetches)
    @rule(data=st.data(), cause=st.sampled_from(CAUSES))
    def fill_fails(self, data: st.DataObject, cause: FailureCause) -> None:
        fetch = self.pick(data, list(self.fetches))
        fill_id = fetch.effect.fill_id
        if cause == "disk" and not fetch.has_head:
            return
        if cause != "disk":
            del self.fetches[fill_id]
            self.dead.append(fill_id)
        self.feed(FillFailed(fill_id=fill_id, cause=cause, detail="x"))

    @precondition(lambda self: self.dead)
    @rule(data=st.data())
    def dead_fill_stirs(self, data: st.DataObject) -> None:
        fill_id = data.draw(st.sampled_from(self.dead))
        for event in (
            FillHeaders(fill_id=fill_id, status=200, headers=()),
            FillProgress(fill_id=fill_id, received_bytes=10**6),
            FillFailed(fill_id=fill_id, cause="broken", detail=""),
        ):
            before = self.core.status(self.now_s)
            self.core.handle(event, self.now_s)
            effects = self.core.drain()
            # Only time can have passed: what it allows may start now, nothing else.
            assert all(isinstance(e, StartFill | ResumeFill | PauseFill) for e in effects)
            assert self.core.status(self.now_s).origin_bytes == before.origin_bytes
            self.take(effects)

    @precondition(lambda self: self.waiting or self.answered)
    @rule(data=st.data(), is_whole=st.booleans())
    def request_ends(self, data: st.DataObject, is_whole: bool) -> None:
        request_id = data.draw(st.sampled_from(sorted(self.waiting | self.answered.keys())))
        self.end_request(request_id, is_whole)

    def end_request(self, request_id: int, is_whole: bool) -> None:
        is_answered = request_id in self.answered
        self.waiting.discard(request_id)
        self.answered.pop(request_id, None)
        self.passing.discard(request_id)
        if is_whole and is_answered:
            self.feed(ResponseEnded(request_id=request_id, sent_bytes=100))
        else:
            self.feed(ClientLeft(request_id=request_id, sent_bytes=50 if is_answered else 0))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def object_lost(self, data: st.DataObject) -> None:
        object_id = data.draw(st.sampled_from(sorted(self.held)))
        self.feed(ObjectLost(object_id=object_id, detail="damaged"))
        assert object_id not in self.held

    @precondition(lambda self: self.reads)
    @rule()
    def object_read(self) -> None:
        self.feed(ObjectRead(object_id=self.reads.pop(), text=None))

    @precondition(lambda self: self.manifests)
    @rule()
    def manifest_read(self) -> None:
        self.feed(read_manifest(self.manifests.pop()))

    @rule()
    def catalog(self) -> None:
        self.feed(CatalogLearned(base_url=CATALOG_URL, catalog=episode_catalog()))

    @rule(model_id=st.sampled_from([None, "m"]))
    def model(self, model_id: str | None) -> None:
        self.feed(ModelChanged(model_id=model_id))

    @precondition(lambda self: self.predictions)
    @rule(probability=st.sampled_from([0.1, 0.9, float("nan")]), is_failure=st.booleans())
    def prediction(self, probability: float, is_failure: bool) -> None:
        prediction_id = self.predictions.pop(0)
        if is_failure:
            self.feed(PredictionFailed(prediction_id=prediction_id, detail=""))
        else:
            self.feed(Predicted(prediction_id=prediction_id, probabilities=((probability,) * 3,)))

    @rule(step_s=st.sampled_from([0.01, 0.5, 4.0, 400.0]))
    def time_passes(self, step_s: float) -> None:
        until_s = self.now_s + step_s
        for _ in range(100):
            deadline_s = self.core.deadline_s()
            if deadline_s is None or deadline_s > until_s:
                break
            self.now_s = max(self.now_s, deadline_s)
            self.core.advance(self.now_s)
            self.take(self.core.drain())
        else:
            raise AssertionError("the core keeps waking for nothing")
        self.now_s = until_s
        self.core.advance(self.now_s)
        self.take(self.core.drain())
        if step_s > PATIENCE_S:
            held_up = [f for f in self.fetches.values() if f.is_blocked or f.is_paused]
            assert not self.waiting or held_up, "somebody waits for an upstream that is silent"

    @rule(path=PATHS)
    def explained(self, path: str) -> None:
        """Whatever has happened, it can be said, in words, and agrees with what there is."""
        explained = self.core.explain(path, self.now_s)
        assert explained is not None
        held = {self.urls[object_id] for object_id in self.held}
        assert (explained.resident is not None) == (explained.url in held)
        fetched = [one for one in self.fetches.values() if one.effect.url == explained.url]
        assert (explained.in_flight is not None) == bool(fetched)
        for line in lines(explained):
            assert len(line) <= WIDTH
        if explained.grounds is not None:
            assert 0.0 <= explained.grounds.chance <= 1.0
            assert 0.0 <= explained.grounds.threshold <= 1.0

    @precondition(lambda self: self.now_s > 1000.0)
    @rule()
    def drains(self) -> None:
        self.is_draining = True
        self.feed(Draining())

    # -- what must hold

    @invariant()
    def counted_is_held(self) -> None:
        status = self.core.status(self.now_s)
        assert status.object_bytes == sum(self.held.values()) <= CAPACITY
        assert status.object_count == len(self.held)
        assert status.fills_in_flight == len(self.fetches)
        assert status.passes_in_flight == len(self.passing)
        assert status.prefetch_bytes == self.prefetched_bytes

    @invariant()
    def who_waits_has_a_fill(self) -> None:
        assert not self.waiting or self.fetches

    @invariant()
    def demand_comes_first(self) -> None:
        prefetches = [f for f in self.fetches.values() if f.priority == "prefetch"]
        assert len(prefetches) <= 2
        is_busy = bool(self.passing) or any(
            f.priority == "demand" and not (f.has_head and f.size_bytes == 0)
            for f in self.fetches.values()
        )
        if is_busy:
            assert all(f.is_paused for f in prefetches)
        if self.is_draining:
            assert not prefetches

    @invariant()
    def budget_is_kept(self) -> None:
        allowed_bytes = RATE_BYTES_PER_S * (self.now_s + BURST_S)
        assert self.prefetched_bytes <= allowed_bytes + 2 * self.overshoot_bytes


EdgeMachine.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestEdgeMachine = EdgeMachine.TestCase


def test_a_store_is_restored_as_far_as_it_fits() -> None:
    machine = EdgeMachine()
    objects = tuple(
        StoredObject(
            object_id=f"{number:032x}",
            url=f"{UPSTREAM}/r{number}",
            status=200,
            headers=(("cache-control", "max-age=60"),),
            size_bytes=90_000,
            crc32c=0,
            requested_wall_s=EPOCH_S,
            received_wall_s=EPOCH_S,
        )
        for number in range(7)
    )
    machine.held = {stored.object_id: stored.size_bytes for stored in objects}
    machine.feed(Restored(objects=objects))
    machine.counted_is_held()
    assert len(machine.held) == 4
