"""The peers, in our own words, against the public reference results on the public traces.

The session model is the same, so what is left are the moments at which a player looks in on a
segment under way: the reference looks every 50 ms, ours less and less often.
"""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import msgspec
import numpy as np
import pytest

from abr.controllers import build_controller
from nearcast.trace import Trace
from nearcast.trace_files import read_traces
from simulation.sessions.capacity import Capacity
from simulation.sessions.engine import play
from simulation.sessions.plain import PlainTransport
from simulation.sessions.title import read_title

TRACES = Path(__file__).parents[3] / "shared" / "traces"
REFERENCE = TRACES / "reference" / "sessions_4s_25s.csv.gz"
SESSIONS_MAX = 60
TITLE_S = 300.0

pytestmark = pytest.mark.skipif(
    not REFERENCE.exists(), reason="the public traces and their reference results are not here"
)


class Family(msgspec.Struct, frozen=True):
    latency_s: float
    ladder: str


# As the README of the public traces has it.
FAMILIES = {
    "norway3g": Family(0.1, "hd"),
    "fcc": Family(0.02, "hd"),
    "fccstep": Family(0.02, "uhd"),
    "puffer2021": Family(0.04, "uhd"),
    "ghent4g": Family(0.02, "uhd"),
    "irish5g": Family(0.04, "uhd"),
    "mmwave5g": Family(0.02, "xr"),
}


class Found(msgspec.Struct, frozen=True):
    bitrate_kbps: float
    rebuffer_ratio: float


def found(bitrates_kbps: list[float], stalled_s: list[float]) -> Found:
    total_s = sum(stalled_s)
    ratio = total_s / (total_s + TITLE_S * len(stalled_s))
    return Found(sum(bitrates_kbps) / len(bitrates_kbps), ratio)


@pytest.fixture(scope="module")
def traces() -> dict[str, dict[str, Trace]]:
    """The first of each family."""
    return {
        family: dict(list(read_traces(TRACES / f"{family}.csv.gz"))[:SESSIONS_MAX])
        for family in FAMILIES
    }


@pytest.fixture(scope="module")
def reference(traces: dict[str, dict[str, Trace]]) -> dict[tuple[str, str], Found]:
    """By family and controller, on the same traces."""
    rows: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with gzip.open(REFERENCE, "rt") as lines:
        for row in csv.DictReader(lines):
            if row["trace_id"] in traces[row["family"]]:
                figures = float(row["bitrate_kbps"]), float(row["rebuffer_s"])
                rows.setdefault((row["family"], row["controller"]), []).append(figures)
    return {key: found(*map(list, zip(*each, strict=True))) for key, each in rows.items()}


@pytest.mark.parametrize(
    "name", ["throughput", "bola", "dynamic", "bolae", "dynamicdash", "robust_mpc"]
)
@pytest.mark.parametrize("family", list(FAMILIES))
def test_peers_agree_with_the_reference(
    name: str,
    family: str,
    reference: dict[tuple[str, str], Found],
    traces: dict[str, dict[str, Trace]],
) -> None:
    links = list(traces[family].values())
    title = read_title(TRACES / "titles" / f"{FAMILIES[family].ladder}_4s.json")
    outcome = play(
        title,
        build_controller(name, session_count=len(links)),
        PlainTransport(Capacity(links), FAMILIES[family].latency_s),
        len(links),
    )
    rates_kbps = title.ladder_kbps[outcome.rungs].mean(axis=1)
    ours = found(rates_kbps.tolist(), outcome.stalled_s.sum(axis=1).tolist())
    theirs = reference[family, name]
    said = f"{name} on {family}: {ours} against {theirs}"
    assert ours.bitrate_kbps == pytest.approx(theirs.bitrate_kbps, rel=0.02), said
    assert ours.rebuffer_ratio == pytest.approx(theirs.rebuffer_ratio, abs=0.002), said


def test_start_is_the_first_segment_on_the_bare_link(traces: dict[str, dict[str, Trace]]) -> None:
    """Nothing of ours in between: by the single-trace code that the live link uses."""
    links = list(traces["fcc"].values())[:10]
    title = read_title(TRACES / "titles" / "hd_4s.json")
    outcome = play(
        title, build_controller("bola", session_count=10), PlainTransport(Capacity(links), 0.02), 10
    )
    expected = [link.finish_s(0.02, title.sizes_bits[0, 0] / 8) for link in links]
    assert np.allclose(outcome.startup_s, expected)
