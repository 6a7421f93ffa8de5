"""What `nearcast play` says before it plays, and how it says it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

import predictor
from abr.controllers import CONTROLLERS
from abr.live_line import live_line, rate_text
from abr.report import SessionReport
from abr.status import PlayerStatus
from abr.summary import session_lines
from nearcast.main import main

SHIPPED = Path(predictor.__file__).parent / "models" / "bandwidth" / "bandwidth.json"
URL = "http://127.0.0.1/a.mpd"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((URL, "--controller", "best"), "choose from: throughput"),
        ((URL, "--set", "bufer=3"), "unknown setting bufer"),
        ((URL, "--set", "buffer_s_max=-1"), "buffer_s_max"),
        ((URL, "--set", "controllers.bola.gamma=3"), "gamma"),
        ((URL, "--cmcd", "morse"), "cmcd"),
        (("ftp://127.0.0.1/a.mpd",), "not the URL of a manifest"),
        (("http://[/a.mpd",), "not the URL of a manifest"),
        (("--schedule", "/nonexistent.json"), "cannot read /nonexistent.json"),
        ((URL, "--schedule", "/nonexistent.json"), "leave out"),
        ((URL, "--json", "/nonexistent/report.json"), "its folder does not exist"),
        ((), "say what to play"),
    ],
)
def test_bad_arguments_are_named(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["play", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, "cannot read"),
        ({"kind": "weather"}, "line 2"),
        ({"format_version": 99}, "99"),
        ({"feature_version": 99}, "99"),
        ({"mean": [0.0]}, "mean"),
    ],
)
def test_bad_model_is_named_before_anything_is_fetched(
    change: dict[str, object],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("abr.assemble.play_schedule", pytest.fail)
    file = tmp_path / "model.json"
    if change:
        shipped = msgspec.json.decode(SHIPPED.read_bytes())
        file.write_bytes(msgspec.json.format(msgspec.json.encode(shipped | change)))
    setting = f"controllers.nearcast.model={file}"
    assert main(["play", URL, "--controller", "nearcast", "--set", setting]) == 2
    said = capfd.readouterr().err
    assert str(file) in said
    assert message in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"viewers": []}',
        '{"viewers": [{"plan": {"viewer_id": "a"}}]}',
        '{"viewers": [{"plan": {"viewer_id": "a", "items": [{"url": "file:///etc/passwd"}]}}]}',
        '{"viewers": [{"start_s": -1, "plan": {"viewer_id": "a", "items": []}}]}',
        '{"viewers": [{"plan": {"viewer_id": "a", "items": []}, "speed": 2}]}',
    ],
)
def test_bad_schedule_is_refused_with_its_file(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "schedule.json"
    file.write_text(text)
    assert main(["play", "--schedule", str(file)]) == 2
    assert str(file) in capsys.readouterr().err


def test_settings_are_shown_with_their_source(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--buffer", "12", "--set", "controllers.bola.gamma_p=4", "--print-config"]
    assert main(["play", *arguments]) == 0
    out = capsys.readouterr().out
    assert "buffer_s_max = 12.0    # --set" in out
    assert "controllers.bola.gamma_p = 4.0    # --set" in out
    assert 'controller = "dynamic"    # default' in out


def test_controllers_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["play", "--list-controllers"]) == 0
    assert capsys.readouterr().out.split() == list(CONTROLLERS)


STATUS = PlayerStatus(
    at_s=100.0,
    url=URL,
    state="playing",
    position_s=61.0,
    buffered_end_s=70.0,
    duration_s=3723.0,
    bitrate_kbps=850.0,
    rung=1,
    rung_count=10,
    throughput_kbps=123_456.0,
    stall_count=12,
    stalled_s=3.0,
    response_count=1234,
    edge_hit_count=1000,
)


def test_live_line_looks_ahead_and_fits_a_terminal() -> None:
    line = live_line(STATUS, 103.0, 30.0)
    assert "1:04/62:03" in line
    assert "[#....] 6 s" in line
    assert len(line) <= 79
    assert "[.....] 0 s" in live_line(STATUS, 150.0, 30.0)


def test_report_fits_80_columns_however_long_the_url() -> None:
    session = SessionReport(
        url="http://edge.test/" + "long/" * 40 + "manifest.mpd",
        session_id="v-1",
        is_next_episode=True,
        startup_s=12.346,
        played_s=86_400.0,
        stalled_s=1234.5,
        stall_count=1000,
        bitrate_kbps=16_800.0,
        switch_count=1000,
        qoe_linear=-123.456,
        segment_count=21_600,
        abandon_count=10,
        response_count=100_000,
        edge_hit_count=100_000,
        received_bytes=10**12,
        hit_bytes=10**12,
        started_from_edge=True,
        ended="finished",
    )
    lines = list(session_lines(session))
    assert max(len(line) for line in lines) <= 80
    assert any("12.35 s (from the edge)" in line for line in lines)


def test_rates_are_said_in_the_unit_that_suits_them() -> None:
    assert rate_text(None) == "-"
    assert rate_text(850.4) == "850 kbit/s"
    assert rate_text(4236.0) == "4.2 Mbit/s"
