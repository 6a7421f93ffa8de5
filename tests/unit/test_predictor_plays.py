from pathlib import Path

import msgspec
import numpy as np
import pytest

from nearcast.errors import InputError
from nearcast.seeds import Seeds
from predictor.columns import reached
from predictor.features import RATE_PRIOR
from predictor.train import statistics as stats
from predictor.train.plays import draw_plays
from predictor.train.process import Drawn, Offsets

# Invented and round, with the schema of the real file.
STATISTICS = {
    "n_plays": 1000,
    "P_next_within|finished": {
        "1min": 0.4, "5min": 0.5, "30min": 0.6, "2h": 0.65, "24h": 0.8, "7d": 0.9,
    },
    "P_next30_by_completion": {
        name: [rate, count]
        for name, rate, count in zip(
            stats.COMPLETION_BUCKETS,
            (0.05, 0.05, 0.05, 0.1, 0.4, 0.6, 0.6),
            (20, 30, 50, 50, 50, 400, 400),
            strict=True,
        )
    },
    "P_next30_by_run": {"1": [0.58, 500], "2": [0.6, 200], "4": [0.65, 100]},
    "P_next30_by_hour": {str(hour): 0.6 for hour in range(0, 24, 2)},
    "next_play_kind|finished, next play within 30min": {"successor": 0.9},
    "next_play_kind|any episode, any time": {"same_ep": 0.1},
    "starts_by_local_hour": [1 / 24] * 24,
    "session_plays": {"0.5": 2.0},
    "session_min": {"0.5": 45.0},
    "session_mean_plays": 2.2,
    "max_run_dist": {"1": 1.0, "2": 0.5},
    "intersession_h": {"0.1": 1.0, "0.5": 10.0, "0.9": 50.0},
    "completion_hist_20bins": [0.015] * 18 + [0.06, 0.67],
}  # fmt: skip


def write(folder: Path, **changes: object) -> Path:
    path = folder / "stats.json"
    path.write_bytes(msgspec.json.encode(STATISTICS | changes))
    return path


def read(folder: Path, **changes: object) -> stats.ViewingStatistics:
    return stats.read_statistics(write(folder, **changes))[0]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    offsets = Offsets(
        completion=np.array([-3.0, -3.0, -3.0, -2.0, -0.4, 0.4, 0.4]),
        run=np.zeros(3),
        hour=np.zeros(12),
        start_hour=np.full(24, 1 / 24),
    )
    return draw_plays(
        read(tmp_path_factory.mktemp("s")), play_count=4000, seeds=Seeds(7), offsets=offsets
    )


def test_labels_accumulate_with_the_horizon(drawn: Drawn) -> None:
    labels = drawn.plays.labels
    assert len(labels) > 3500
    assert (np.diff(labels, axis=1) >= 0).all()
    assert 0 < labels[:, 0].mean() < labels[:, 2].mean() < 1


def test_a_first_play_knows_nothing_of_its_viewer(drawn: Drawn) -> None:
    plays = drawn.plays
    is_first = np.isnan(plays.previous_gap_s)
    assert np.count_nonzero(is_first) == len(np.unique(plays.viewer))
    assert (plays.viewer_rate_30min[is_first] == RATE_PRIOR).all()


def test_rates_come_from_the_past_alone(drawn: Drawn) -> None:
    """Recount one viewer's rate from the plays before each play."""
    plays = drawn.plays
    own = np.flatnonzero(plays.viewer == 0)
    own = own[np.argsort(drawn.start_s[own])]
    is_finished = plays.completion[own] >= 0.9
    went_on = is_finished & (plays.labels[own, 0] > 0)
    finished_before = np.concatenate([[0], np.cumsum(is_finished)[:-1]])
    went_on_before = np.concatenate([[0], np.cumsum(went_on)[:-1]])
    expected = (went_on_before + 7.0) / (finished_before + 10.0)
    np.testing.assert_allclose(plays.viewer_rate_30min[own], expected)


def test_runs_and_sittings_count_up(drawn: Drawn) -> None:
    plays = drawn.plays
    assert (plays.run_length <= plays.plays_before_in_session + 1).all()
    is_new = plays.plays_before_in_session == 0
    assert (plays.session_before_s[is_new] == 0).all()
    assert (plays.session_before_s[~is_new] > 0).all()
    late = plays.previous_gap_s > 1800.0
    assert (plays.plays_before_in_session[late] == 0).all()


def test_checkpoints_hold_only_plays_that_got_there(drawn: Drawn) -> None:
    counts = [len(reached(drawn.plays, at)) for at in (0.1, 0.5, 0.9)]
    assert counts == sorted(counts, reverse=True)
    assert reached(drawn.plays, 0.9).completion.min() >= 0.9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"starts_by_local_hour": [0.1]}, "starts_by_local_hour"),
        ({"P_next30_by_completion": {}}, "no entry for"),
        ({"P_next30_by_run": {"1": [0.5, 3], "two": [0.5, 3]}}, "not a number"),
        ({"intersession_h": {"0.9": 1.0, "0.1": 2.0}}, "rising order"),
        ({"P_next_within|finished": {name: 0.9 - i / 10 for i, name in enumerate(stats.WITHIN)}},
         "falls with time"),
    ],
)  # fmt: skip
def test_bad_statistics_are_refused_by_name(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        stats.read_statistics(write(tmp_path, **change))
