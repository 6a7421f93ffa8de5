"""What an edge's core tells the origin of what it served."""

from __future__ import annotations

import msgspec

from edge.config import EdgeConfig, TelemetryConfig
from edge.effects import Effect, ReadManifest, WriteTelemetry
from edge.events import Event, Noticed
from edge.fleet.orders import TimeTold
from edge.services import Services
from edge.telemetry.reports import QoeSums, Report
from edge.telemetry.titles import NAME_LENGTH_MAX, TitleIds
from edge.telemetry.unplaced import KEPT_MAX, KEPT_S, Unplaced
from edge.texts import read_manifest
from nearcast.cmcd import Cmcd, from_request
from nearcast.telemetry import Demand, Line, Noted, SessionEnded
from tests.edge_bench import EPOCH_S
from tests.edge_world import SEGMENT_BYTES, World

LOW, SOUND = SEGMENT_BYTES["low"], SEGMENT_BYTES["sound"]


def told(effects: list[Effect]) -> list[Line]:
    return [
        event for effect in effects if isinstance(effect, WriteTelemetry) for event in effect.events
    ]


def sums(events: list[Line]) -> dict[tuple[str, str], Demand]:
    """All that was told of each rendition, added up."""
    totals: dict[tuple[str, str], Demand] = {}
    for event in events:
        if not isinstance(event, Demand):
            continue
        key = event.title, event.rendition
        before = totals.get(key)
        if before is not None:
            fields = ("client_bytes", "resident_bytes", "origin_bytes", "session_count")
            event = msgspec.structs.replace(
                event,
                head_bytes=event.head_bytes + before.head_bytes,
                **{name: getattr(event, name) + getattr(before, name) for name in fields},
            )
        totals[key] = event
    return totals


class Told(World):
    """A world that keeps what the edge wants to be written down."""

    def __init__(self, **settings: object) -> None:
        self.events: list[Line] = []
        self.stays_unread = False
        """Manifests are read only when `read_now` is called."""
        self._unread: list[ReadManifest] = []
        super().__init__(is_in_fleet=True, **settings)

    def _follow(self, effects: list[Effect]) -> list[Effect]:
        seen = super()._follow(effects)
        self.events += told(seen)
        return seen

    def _perform(self, effect: Effect) -> list[Event]:
        if self.stays_unread and isinstance(effect, ReadManifest):
            self._unread.append(effect)
            return []
        return super()._perform(effect)

    def read_now(self) -> None:
        self.stays_unread = False
        for effect in self._unread:
            self.run(read_manifest(effect))


def test_every_byte_of_a_viewing_is_told_once() -> None:
    world = Told()
    world.watch(1, 40.0, sid="s")
    world.move_to(world.now_s + 10_000.0)
    totals = sums(world.events)
    low, sound = totals["e1", "low"], totals["e1", "sound"]
    init = SEGMENT_BYTES["low"]  # this world's initialisations are as large as segments
    assert low.client_bytes == low.origin_bytes == 10 * LOW + init
    assert sound.client_bytes == 10 * SOUND
    assert (low.session_count, sound.session_count) == (1, 0)
    assert low.resident_bytes == 0


def test_a_clock_that_was_wrong_at_the_start_costs_no_demand() -> None:
    """An hour or more off, and the origin counts it into another hour, or not at all."""
    world = Told()
    world.run(TimeTold(ahead_s=1e8))
    world.watch(1, 40.0, sid="s")
    world.move_to(world.now_s + 10_000.0)
    times = [event.wall_s for event in world.events]
    assert any(isinstance(event, Demand) for event in world.events)
    assert any(isinstance(event, SessionEnded) for event in world.events)
    assert all(EPOCH_S + 1e8 <= wall_s <= EPOCH_S + 1e8 + world.now_s for wall_s in times)


def test_what_a_steered_player_took_before_its_title_was_known_is_told() -> None:
    """The first look at a title is its head."""
    world = Told()
    world.stays_unread = True
    for number in (1, 2):
        world.get(f"/media/e1/low/{number}.m4s")
    world.get("/media/nobody/low/1.m4s")
    assert sums(world.events) == {}
    world.read_now()
    world.move_to(world.now_s + 60.0)
    assert set(sums(world.events)) == {("e1", "low")}
    low = sums(world.events)["e1", "low"]
    assert low.client_bytes == low.head_bytes == low.origin_bytes == 2 * LOW


def test_what_stays_unknown_is_let_go_after_a_while() -> None:
    kept = Unplaced()
    for number in range(KEPT_MAX + 5):
        kept.add(f"/{number}", 0, client_bytes=1)
    assert len(kept) == KEPT_MAX
    kept.advance(KEPT_S + 1.0)
    assert len(kept) == 0


def test_what_the_store_gave_is_resident_and_not_fetched() -> None:
    world = Told()
    world.watch(1, 40.0, sid="s")
    world.move_to(world.now_s + 10_000.0)
    world.events.clear()
    world.watch(1, 40.0, sid="t", client="d")
    world.move_to(world.now_s + 10_000.0)
    low = sums(world.events)["e1", "low"]
    assert low.client_bytes == low.resident_bytes > 0
    assert low.origin_bytes == 0
    assert low.session_count == 1


def test_sums_are_told_once_in_a_while_and_not_with_each_request() -> None:
    world = Told()
    world.watch(1, 9.0)
    assert not world.events
    world.move_to(30.0)
    assert len({event.wall_s for event in world.events}) == 1
    assert all(EPOCH_S <= event.wall_s <= EPOCH_S + 30.0 for event in world.events)


def test_a_full_table_is_told_at_once() -> None:
    world = Told(telemetry=TelemetryConfig(rows_max=1, flush_s=3600.0))
    world.get("/media/e1/manifest.mpd")
    world.get("/media/e1/low/1.m4s")
    assert sums(world.events)["e1", "low"].client_bytes == LOW


def test_a_viewing_that_ended_says_what_is_wanted_next_and_names_nobody() -> None:
    world = Told()
    world.watch(1, 30.0, sid="secret-session", client="192.0.2.7")
    world.move_to(world.now_s + 10_000.0)
    (ended,) = [event for event in world.events if isinstance(event, SessionEnded)]
    assert (ended.title, ended.next_title) == ("e1", "e2")
    assert 28.0 <= ended.watched_s <= 40.0
    text = msgspec.json.encode(world.events)
    assert b"192.0.2.7" not in text
    assert b"secret-session" not in text


def test_nothing_is_pending_for_who_left_early_or_went_on() -> None:
    world = Told()
    world.watch(1, 8.0)
    world.move_to(world.now_s + 10_000.0)
    world.watch(2, 39.0)
    world.watch(3, 39.0)
    world.move_to(world.now_s + 10_000.0)
    ended = {event.title: event for event in world.events if isinstance(event, SessionEnded)}
    assert [ended[name].next_title for name in ("e1", "e2", "e3")] == ["", "", ""]


def test_what_an_operator_would_like_to_read_is_told_at_once() -> None:
    world = Told()
    world.run(Noticed(what="duty", detail="x" * 500))
    (note,) = world.events
    assert isinstance(note, Noted)
    assert (note.what, len(note.detail)) == ("duty", NAME_LENGTH_MAX)


def test_a_node_on_its_own_tells_nothing() -> None:
    world = World()
    seen = told(world.get("/media/e1/manifest.mpd") + world.get("/media/e1/low/1.m4s"))
    assert not seen + told(world.move_to(10_000.0))


def test_startup_is_the_time_until_the_picture_ran() -> None:
    report, sums_ = Report(100.0), QoeSums()
    for at_s, is_startup in ((100.0, True), (100.5, True), (101.5, False), (105.0, False)):
        said = Cmcd(is_startup=is_startup, is_starved=is_startup, bitrate_kbps=400.0)
        sums_.heard(report, said, at_s, is_picture=True)
    assert report.startup_s == 1.5
    assert report.stall_count == 0  # a buffer that has not been filled has not run dry
    qoe = sums_.figures()
    assert (qoe.startup_s, qoe.startup_count, qoe.report_count) == (1.5, 1, 4)
    assert (qoe.bitrate_kbps, qoe.bitrate_count) == (1600.0, 4)


def test_a_stall_after_the_start_counts() -> None:
    report = Report(0.0)
    report.heard(Cmcd(is_startup=True), 0.0, is_picture=True)
    report.heard(Cmcd(session_id="s"), 1.0, is_picture=True)
    report.heard(Cmcd(is_starved=True, is_startup=True), 9.0, is_picture=True)
    assert (report.startup_s, report.stall_count) == (1.0, 1)


def test_version_two_tells_of_start_and_errors() -> None:
    report = Report(0.0)
    said = from_request("/x?CMCD=ec%3D(%22404%22)%2Cmsd%3D730%2Csta%3Df", ())
    assert said is not None
    report.heard(said, 5.0, is_picture=True)
    assert (report.startup_s, report.error_count) == (0.73, 1)


def test_titles_without_a_catalogue_are_called_by_their_path() -> None:
    ids = TitleIds(Services(EdgeConfig(upstream="http://origin:8000/base")))
    assert ids.id_of("http://origin:8000/base/a/show.mpd?x=1") == "/base/a/show.mpd"
    long = "http://origin:8000/base/" + "a" * 400
    assert len(ids.id_of(long + "b")) == NAME_LENGTH_MAX
    assert ids.id_of(long + "b") != ids.id_of(long + "c")
