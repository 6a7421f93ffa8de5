"""Live against simulated: what both are given, and what is said of them."""

from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from abr.config import PlayerConfig
from abr.controllers import ControllerSettings
from abr.report import SessionReport
from abr.view import Flags, Floats, Rungs
from nearcast.config import load
from nearcast.errors import ConfigError
from nearcast.manifests import read_manifest
from nearcast.media import Presentation
from nearcast.trace import Trace
from simulation.bench.agreement.live import LiveFigures, player_options
from simulation.bench.agreement.media import MANIFEST, write_title
from simulation.bench.agreement.plan import (
    SEGMENT_COUNT,
    Plan,
    Session,
    cut_trace,
    pick_sessions,
    short_title,
)
from simulation.bench.agreement.report import compare, table
from simulation.bench.agreement.simulated import AfterManifest, Played, play_simulated
from simulation.bench.cli import app
from simulation.sessions.capacity import Capacity
from simulation.sessions.families import Family
from simulation.sessions.options import Options, read_choices
from simulation.sessions.plain import PlainTransport
from simulation.sessions.study import Choice, Condition
from simulation.sessions.title import SessionTitle

LADDER_KBPS = np.array([300.0, 1000.0])


def titled(segment_count: int = 5) -> SessionTitle:
    sizes_bits: Floats = np.arange(1.0, 2 * segment_count + 1).reshape(-1, 2) * 80_001.0
    return SessionTitle(LADDER_KBPS, 2.0, sizes_bits)


def conditioned(name: str, rates_kbps: list[float]) -> Condition:
    traces = tuple(Trace((0, 200), (rate,)) for rate in rates_kbps)
    ids = tuple(f"{rate:g}" for rate in rates_kbps)
    return Condition(
        family=Family(name, ids, traces), title=titled(40), latency_s=0.04, stall_penalty=4.3
    )


def test_a_trace_is_cut_between_rows_and_on_them() -> None:
    trace = Trace((0, 50, 130, 200), (1, 2, 3))
    cut = cut_trace(trace, 120.0)
    assert (cut.times_s, cut.rates_kbps) == ((0, 50, 120), (1, 2))
    assert cut_trace(trace, 50.0).times_s == (0, 50)
    assert cut_trace(trace, 300.0) is trace


def test_a_short_title_has_whole_bytes() -> None:
    title = short_title(titled(40))
    assert title.segment_count == SEGMENT_COUNT
    assert (title.sizes_bits % 8 == 0).all()
    assert (title.sizes_bits[0] - 80_001.0 * np.array([1, 2]) < 8).all()


def test_sessions_are_spread_over_families_and_leave_out_traces_that_carry_nothing() -> None:
    conditions = [conditioned("a", [100, 400, 500, 600]), conditioned("b", [700, 200, 900])]
    picked = pick_sessions(conditions, 3)
    assert [session.name for session in picked] == ["a/400", "a/600", "b/700"]
    with pytest.raises(ConfigError, match="b has 2 traces"):
        pick_sessions(conditions, 6)


def test_a_title_on_disk_is_the_title_simulated(tmp_path: Path) -> None:
    title = short_title(titled())
    size_bytes = write_title(title, tmp_path / "title")
    text = (tmp_path / "title" / MANIFEST).read_bytes()
    assert len(text) == size_bytes
    found = read_manifest(text, "http://127.0.0.1/title/manifest.mpd")
    assert isinstance(found, Presentation)
    assert [each.rendition.average_kbps for each in found.video] == LADDER_KBPS.tolist()
    for rung, representation in enumerate(found.video):
        assert representation.init is None
        sizes = [
            segment.byte_range.size_bytes * 8
            for segment in representation.segments
            if segment.byte_range is not None
        ]
        assert sizes == title.sizes_bits[:, rung].tolist()
        assert representation.duration_s == pytest.approx(title.duration_s)
        file = tmp_path / "title" / representation.segments[0].url.rpartition("/")[2]
        assert file.stat().st_size * 8 == title.sizes_bits[:, rung].sum()


def test_sessions_count_time_from_the_end_of_their_manifest() -> None:
    capacity = Capacity([Trace((0, 1, 3), (8, 80))])
    late = AfterManifest(PlainTransport(capacity, 0.5), 1, manifest_bytes=500)
    assert late.begin_s == pytest.approx(1.0)

    def send(now_s: float) -> tuple[float, float]:
        rows: Rungs = np.array([0])
        time_s: Floats = np.array([now_s])
        miss: Flags = np.array([False])
        flight = late.send(rows, time_s, np.zeros(1), np.array([8_000.0]), miss)
        assert flight.received_bits(rows, flight.end_s)[0] == pytest.approx(8_000)
        return float(flight.first_s[0]), float(flight.end_s[0])

    assert send(0.0) == pytest.approx((0.5, 0.6))


def reported(**fields: float | int) -> SessionReport:
    base = {
        "startup_s": 0.5,
        "played_s": 60.0,
        "stalled_s": 1.0,
        "stall_count": 1,
        "bitrate_kbps": 970.0,
        "switch_count": 2,
        "abandon_count": 0,
    }
    numbers = base | fields
    return SessionReport(
        url="",
        session_id="",
        is_next_episode=False,
        qoe_linear=None,
        segment_count=30,
        response_count=31,
        edge_hit_count=0,
        received_bytes=0,
        hit_bytes=0,
        started_from_edge=None,
        ended="finished",
        **numbers,  # type: ignore[arg-type]
    )


def planned() -> Plan:
    title = short_title(titled(40))
    sessions = tuple(
        Session(
            family="fixed",
            trace_id=f"{rate}",
            trace=Trace.constant(rate),
            rtt_s=0.04,
            title=title,
        )
        for rate in (500, 50_000)
    )
    choice = Choice("throughput", "throughput", ControllerSettings())
    return Plan(sessions=sessions, choice=choice, buffer_s_max=25.0, can_abandon=True)


def test_live_players_have_the_parameters_of_the_simulated_controller() -> None:
    (choice,) = read_choices(
        Options(
            controllers="nearcast:stall_penalty=8",
            settings=("controllers.nearcast.switch_penalty=2",),
        )
    )
    options = player_options(msgspec.structs.replace(planned(), choice=choice))
    loaded = load(
        PlayerConfig,
        role="play",
        assignments=[text for name, text in pairwise(options) if name == "--set"],
    ).value
    assert loaded.controllers == choice.settings != ControllerSettings()
    assert "controllers.nearcast.stall_penalty=8" in options
    assert options[options.index("--controller") + 1] == "nearcast"


@pytest.mark.parametrize("text", ["bola,dynamic", "clairvoyant"])
def test_one_controller_plays_and_one_that_can_play_live(text: str) -> None:
    found = CliRunner().invoke(app, ["agreement", "--controller", text])
    assert isinstance(found.exception, ConfigError)
    assert f"--controller {text}" in str(found.exception)


def test_simulated_sessions_keep_their_order_and_start_with_the_manifest() -> None:
    slow, fast = play_simulated(planned(), (20_000, 20_000))
    assert slow.bitrate_kbps < fast.bitrate_kbps
    # Connection, manifest in two windows, first segment of 10 kB in the window that is open.
    assert fast.startup_s == pytest.approx(4 * 0.04, abs=0.01)
    slower = msgspec.structs.replace(planned(), processing_s=0.05)
    _, later = play_simulated(slower, (20_000, 20_000))
    assert later.startup_s == pytest.approx(fast.startup_s + 2 * 0.05)


def test_gaps_are_live_less_simulated() -> None:
    made = Played(
        bitrate_kbps=1000.0, stalled_s=0.6, startup_s=0.4, switch_count=2, abandon_count=0
    )
    live = LiveFigures(
        reports=(reported(), reported(bitrate_kbps=1100.0)),
        manifests_bytes=(1, 1),
        cpu_share=0.25,
    )
    found = compare(planned(), live, (made, made))
    assert found.rows[0].bitrate_gap == pytest.approx(-0.03)
    assert found.rows[0].stall_gap_s_per_min == pytest.approx(0.4)  # of a minute of media
    assert found.bitrate_gap == pytest.approx(0.035)
    assert found.bitrate_gap_abs_mean == pytest.approx(0.065)
    assert found.within_count == 1
    text = list(table(found))
    assert "+3.5%" in "\n".join(text)
    assert max(map(len, text)) <= 100
