from pathlib import Path

import msgspec
import pytest

from nearcast.errors import InputError
from predictor.viewing import statistics as stats

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
