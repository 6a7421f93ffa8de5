"""Every controller, on any view: a rung of the ladder, and each row for itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abr.controllers import CONTROLLERS, build_controller
from abr.view import ASK_AGAIN, GO_ON, HISTORY, HORIZON, Attempt, History, Patient, View, fill_sizes


@st.composite
def views(draw: st.DrawFn) -> View:
    rows, rungs = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    steps = draw(st.lists(st.floats(50.0, 5000.0), min_size=rungs, max_size=rungs))
    ladder_kbps = np.cumsum(steps)

    def column(values: st.SearchStrategy[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array(draw(st.lists(values, min_size=rows, max_size=rows)))

    left = column(st.integers(1, 10).map(float)).astype(np.int64)
    durations_s = np.repeat(column(st.floats(0.2, 12.0))[:, None], HORIZON, axis=1)
    durations_s[np.arange(HORIZON)[None, :] >= left[:, None]] = np.nan
    unknown = np.full((rows, HORIZON, rungs), np.nan)
    count = column(st.integers(0, HISTORY).map(float))
    samples = np.repeat(column(st.floats(10.0, 1e6))[:, None], HISTORY, axis=1)
    samples = samples * np.linspace(0.2, 1.0, HISTORY)
    samples[np.arange(HISTORY)[None, :] < HISTORY - count[:, None]] = np.nan
    started = column(st.booleans().map(float)) > 0
    return View(
        session=np.arange(rows),
        ladder_kbps=ladder_kbps,
        buffer_s=np.where(started, column(st.floats(0.0, 60.0)), 0.0),
        buffer_limit_s=column(st.floats(1.0, 60.0)),
        durations_s=durations_s,
        sizes_bits=fill_sizes(unknown, durations_s, ladder_kbps),
        segment_index=np.where(started, 5, 0),
        segments_left=left,
        estimate_kbps=np.where(count > 0, column(st.floats(10.0, 1e6)), np.nan),
        ttfb_s=column(st.floats(0.0, 3.0)),
        history=History(
            kbps=samples,
            bytes=samples,
            duration_s=samples,
            ttfb_s=samples,
            gap_s=samples,
            is_hit=~np.isnan(samples) & (column(st.booleans().map(float)) > 0)[:, None],
        ),
        gap_s=column(st.floats(0.0, 20.0)),
        last_rung=np.where(started, rungs - 1, -1),
        is_startup=~started,
        is_stalled=started,
    )


@pytest.mark.parametrize("name", list(CONTROLLERS))
@settings(max_examples=40, deadline=None)
@given(view=views())
def test_choice_is_on_the_ladder_and_each_row_is_for_itself(name: str, view: View) -> None:
    rung = build_controller(name, session_count=view.row_count).choose(view)
    assert rung.shape == (view.row_count,)
    assert ((rung >= 0) & (rung < view.rung_count)).all()
    controller = build_controller(name, session_count=view.row_count)
    alone = [int(controller.choose(view.take(slice(n, n + 1)))[0]) for n in range(view.row_count)]
    assert rung.tolist() == alone


@st.composite
def attempts(draw: st.DrawFn, view: View) -> Attempt:
    """Of the sessions of a view, each at some moment of its next segment."""
    rows, rungs = view.row_count, view.rung_count

    def column(low: float, high: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array(draw(st.lists(st.floats(low, high), min_size=rows, max_size=rows)))

    rung = np.minimum(column(1.0, rungs).astype(np.int64), rungs - 1)
    sizes_bits = view.sizes_bits[:, 0]
    ttfb_s, buffer_s = column(0.0, 2.0), column(0.0, 30.0)
    return Attempt(
        session=view.session,
        ladder_kbps=view.ladder_kbps,
        rung=rung,
        elapsed_s=ttfb_s + column(0.001, 30.0),
        ttfb_s=ttfb_s,
        received_bits=sizes_bits[np.arange(rows), rung] * column(0.001, 0.999),
        sizes_bits=sizes_bits,
        duration_s=view.durations_s[:, 0],
        buffer_s=buffer_s,
        is_hit=np.zeros(rows, dtype=np.bool_),
        is_waiting=buffer_s <= 0,
    )


@pytest.mark.parametrize("name", list(CONTROLLERS))
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_segment_is_given_up_for_a_lower_rung_and_each_row_for_itself(
    name: str, data: st.DataObject
) -> None:
    view = data.draw(views().filter(lambda view: view.rung_count > 1))
    attempt = data.draw(attempts(view))
    together, one_by_one, patient = (
        build_controller(name, session_count=view.row_count) for _ in range(3)
    )
    for each in (together, one_by_one, patient):
        each.choose(view)
    instead = together.abandon(attempt)
    assert ((instead < attempt.rung) & (instead >= ASK_AGAIN)).all()
    alone = [
        int(one_by_one.abandon(attempt.take(slice(n, n + 1)))[0]) for n in range(view.row_count)
    ]
    assert instead.tolist() == alone
    if isinstance(patient, Patient):
        patience_s = patient.patience_s(attempt)
        assert (patience_s >= 0).all()
        assert (instead[patience_s > 1e-6] == GO_ON).all()
