"""What the next-episode model is given to learn from."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from nearcast.errors import InputError
from nearcast.seeds import Seeds
from predictor.columns import Plays
from predictor.features import FEATURE_NAMES
from predictor.logs.plays import write_plays
from predictor.train.next_episode_data import (
    Data,
    fold_of,
    followed_weights,
    read_data,
    read_real,
)
from predictor.train.next_episode_rows import training_rows
from predictor.viewing.draw import draw_log
from predictor.viewing.fitted import fitted_behaviour
from predictor.viewing.measure import measure
from predictor.viewing.shelf import PlainShelf
from predictor.viewing.statistics import COMPLETION_BUCKETS


def read(path: Path | None, play_count: int = 500) -> Data:
    return read_data(
        path, seeds=Seeds(3), play_count=play_count, on_progress=lambda stage, share: None
    )


@pytest.fixture(scope="module")
def drawn() -> Plays:
    return read(None, 4000).plays


def test_plays_count_alike_at_a_checkpoint_however_soon_they_end(drawn: Plays) -> None:
    rows = training_rows(drawn)
    columns = {name: rows.features[:, at] for at, name in enumerate(FEATURE_NAMES)}
    for checkpoint in (0.1, 0.5):
        at = (columns["has_ended"] == 0) & (np.abs(columns["progress"] - checkpoint) < 1e-6)
        reached = drawn.completion >= checkpoint
        foretold = np.average(rows.labels[at, 0], weights=rows.chance[at])
        assert foretold == pytest.approx(drawn.labels[reached, 0].mean(), abs=1e-6)


def test_invented_viewers_are_many_and_what_is_assumed_of_them_teaches_nothing(
    drawn: Plays,
) -> None:
    plays = drawn
    assert len(plays) == 4000
    assert len(np.unique(plays.viewer)) > 150
    went_on = plays.labels[:, 0].astype(np.float64)
    for name in ("episode_no", "season_no", "device_tv", "weekend", "runtime_s"):
        assert abs(np.corrcoef(getattr(plays, name), went_on)[0, 1]) < 0.06
    assert np.corrcoef(plays.completion, went_on)[0, 1] > 0.3


def test_an_operators_log_gives_plays_by_viewer(tmp_path: Path) -> None:
    seeds = Seeds(1)
    log = draw_log(
        fitted_behaviour(), PlainShelf(seeds.stream("s")), viewers=60, days=20.0, seeds=seeds
    )
    path = tmp_path / "plays.csv"
    write_plays(path, log)
    data = read(path)
    assert data.source == "log"
    assert 30 < len(np.unique(data.plays.viewer)) <= 60
    assert read_real(path)[1] == "log"


def test_other_tables_and_short_ones_are_refused_by_name(tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("week,category\n1,2\n")
    with pytest.raises(InputError, match=r"other\.csv is neither a log of plays"):
        read(other)
    short = tmp_path / "short.csv"
    short.write_text(
        "viewer,start_s,watched_s,runtime_s,title,series,season,episode\n"
        "a,0,1200,1200,x,s,1,1\na,1210,1200,1200,y,s,1,2\n"
    )
    with pytest.raises(InputError, match=r"short\.csv has \d+ ended episode plays"):
        read(short)


def test_folds_keep_groups_whole_and_are_of_like_size() -> None:
    groups = np.repeat(np.arange(40), np.arange(1, 41))
    fold = fold_of(groups, 4)
    for group in range(40):
        assert len(set(fold[groups == group])) == 1
    sizes = np.bincount(fold)
    assert len(sizes) == 4
    assert sizes.max() - sizes.min() <= 40


def test_plays_are_taken_as_often_followed_as_the_statistics_say(drawn: Plays) -> None:
    log = draw_log(
        fitted_behaviour(), PlainShelf(Seeds(1).stream("s")), viewers=40, days=40.0, seeds=Seeds(1)
    )
    within = {"30min": 0.6, "24h": 0.9, "7d": 0.95}
    by_completion = dict.fromkeys(COMPLETION_BUCKETS[:5], (0.2, 100))
    said = msgspec.structs.replace(
        measure(log),
        next_within_finished=within,
        next30_by_completion=by_completion | dict.fromkeys(COMPLETION_BUCKETS[5:], (0.6, 100)),
    )
    weights = followed_weights(drawn, said)
    finished = drawn.completion >= 0.9
    for at, share in enumerate(within.values()):
        followed = np.average(drawn.labels[finished, at], weights=weights[finished])
        assert followed == pytest.approx(share, abs=1e-6)
    left = (drawn.completion >= 0.5) & (drawn.completion < 0.75)
    assert np.average(drawn.labels[left, 0], weights=weights[left]) == pytest.approx(0.2)
    # Those who come back later do so oftener, as after finished plays.
    later = drawn.labels[left, 0] == 0
    drawn_share = drawn.labels[left][later, 2].mean()
    assert np.average(drawn.labels[left][later, 2], weights=weights[left][later]) > drawn_share
    assert weights.mean() == pytest.approx(1.0)  # and no stage of plays is taken oftener
    assert weights[left].mean() == pytest.approx(1.0)
