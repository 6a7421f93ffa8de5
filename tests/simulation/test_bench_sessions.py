"""`nearcast bench simulate`: its sessions."""

from __future__ import annotations

from simulation.bench import decisions
from simulation.bench.sessions import BASELINE, session_rates, session_traces, table


def test_each_controller_is_timed_beside_doing_nothing() -> None:
    rates = session_rates(["throughput", "bola"], session_count=6)
    assert [rate.controller for rate in rates] == [BASELINE, "throughput", "bola"]
    assert [rate.session_count for rate in rates] == [6, 6, 6]
    assert rates[0].decision_us == 0
    assert max(map(len, table(rates))) <= 80


def test_few_sessions_are_of_all_kinds() -> None:
    means = [trace.mean_kbps for trace in session_traces(5)]
    assert max(means) > 20 * min(means)
    assert len(session_traces(13)) == 13


def test_a_single_players_decisions_are_timed_call_by_call() -> None:
    bola, ours = decisions.decision_times(["bola", "nearcast"], play_count=1)
    assert bola.choice_count == ours.choice_count == 74  # the first segment is given
    for each in (bola, ours):
        assert 0 < each.choose_p50_s <= each.choose_p99_s
    assert max(map(len, decisions.table([bola, ours]))) <= 80
