"""Two origins on unlike machines foresee the same, to the last digit."""

import os
import platform
import subprocess
import sys

import pytest

SCRIPT = """
import hashlib
import numpy as np
from nearcast.seeds import Seeds
from origin.placement.demand import WATCHED_BINS, HourDemand, Titles
from origin.placement.forecast import Forecaster
draw = Seeds(1).stream("forecast")
count = 300
titles = Titles(
    genre=np.arange(count) % 5, is_film=np.ones(count, dtype=np.bool_),
    episode=np.zeros(count, dtype=np.int64), series=np.arange(count),
    successor=np.full(count, -1), release_hour=np.full(count, -np.inf),
    duration_s=np.full(count, 5400.0), size_bytes=np.full((count, 3), 1e9),
)
forecaster = Forecaster(titles, 4)
for _ in range(60):
    size = 200
    forecaster.take(HourDemand(
        edge=draw.integers(0, 4, size), title=np.minimum(count - 1, draw.zipf(1.4, size)),
        rendition=draw.integers(0, 3, size), sessions=draw.uniform(0.1, 2.0, size),
        next_edge=np.zeros(0, np.int64), next_title=np.zeros(0, np.int64),
        next_sessions=np.zeros(0), watched=np.zeros((2, WATCHED_BINS)),
    ))
print(hashlib.sha256(forecaster.forecast().sessions_per_day.tobytes()).hexdigest())
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="these are names of x86 processors")
def test_a_forecast_is_the_same_on_every_processor() -> None:
    found = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "OPENBLAS_CORETYPE": kind, "OMP_NUM_THREADS": "1"},
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout
        for kind in ("Prescott", "Haswell")
    }
    assert len(found) == 1
