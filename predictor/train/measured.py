"""Real ended plays from a Parquet file: one row a play, without viewers or titles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nearcast.errors import InputError
from predictor.columns import Floats, Plays

_LABELS = ("next_within_30min", "next_within_24h", "next_within_7d")
COLUMNS = (
    "completion",
    "runtime_est_min",
    "hour_sin",
    "hour_cos",
    "weekend",
    "run_len",
    "log1p_prev_gap_min",
    "device_tv",
    "device_mobile",
    "viewer_rate_30min",
    "viewer_series_rate_30min",
    "episode_no",
    "season_no",
    "plays_before_in_session",
    "session_minutes",
    *_LABELS,
)
_S_PER_MIN = 60.0


def read_plays(path: Path) -> Plays:
    """The plays in the file, in its order. Raises InputError naming what is missing or wrong."""
    import pyarrow
    import pyarrow.parquet

    try:
        names = pyarrow.parquet.read_schema(path).names
        missing = [name for name in COLUMNS if name not in names]
        if missing:
            raise InputError(f"{path} lacks the columns {', '.join(missing)}")
        table = pyarrow.parquet.read_table(path, columns=list(COLUMNS))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error}") from error
    except pyarrow.ArrowException as error:
        raise InputError(f"{path} is no readable Parquet file: {error}") from error
    if table.num_rows == 0:
        raise InputError(f"{path} holds no plays")
    columns = {name: _column(table, name, path) for name in COLUMNS}
    return _plays(columns, path)


def _column(table: Any, name: str, path: Path) -> Floats:
    try:
        values = np.asarray(table[name].to_numpy(), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: column {name} does not hold numbers") from error
    may_be_unknown = name == "log1p_prev_gap_min"  # a viewer's first play
    if not np.isfinite(values[~np.isnan(values)] if may_be_unknown else values).all():
        raise InputError(f"{path}: column {name} holds missing or infinite values")
    return values


def _plays(columns: dict[str, Floats], path: Path) -> Plays:
    labels = np.stack([columns[name] for name in _LABELS], axis=1)
    if not np.isin(labels, (0.0, 1.0)).all():
        raise InputError(f"{path}: the columns {', '.join(_LABELS)} must be 0 or 1")
    runtime_s = columns["runtime_est_min"] * _S_PER_MIN
    played_s = columns["completion"] * runtime_s
    angle = np.arctan2(columns["hour_sin"], columns["hour_cos"])
    return Plays(
        # Nobody is named; plays of the same run time are the closest to a season that rows tell.
        viewer=np.round(columns["runtime_est_min"]).astype(np.int64),
        completion=columns["completion"],
        runtime_s=runtime_s,
        local_hour=(angle / (2.0 * np.pi) * 24.0) % 24.0,
        weekend=columns["weekend"],
        run_length=columns["run_len"],
        previous_gap_s=np.expm1(columns["log1p_prev_gap_min"]) * _S_PER_MIN,
        device_tv=columns["device_tv"],
        device_mobile=columns["device_mobile"],
        viewer_rate_30min=columns["viewer_rate_30min"],
        viewer_series_rate_30min=columns["viewer_series_rate_30min"],
        episode_no=columns["episode_no"],
        season_no=columns["season_no"],
        plays_before_in_session=columns["plays_before_in_session"],
        # The column counts to the end of the play; rows are made from the start of it.
        session_before_s=np.maximum(0.0, columns["session_minutes"] * _S_PER_MIN - played_s),
        labels=labels.astype(np.float32),
    )
