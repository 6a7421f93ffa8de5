"""A recorded evening gives the same features in training and on an edge."""

from __future__ import annotations

import numpy as np

from edge.config import PrefetchConfig
from edge.events import ModelChanged
from edge.progress import END_TOLERANCE_S
from predictor.columns import reached, rows_at, rows_at_end
from predictor.features import FEATURE_NAMES
from predictor.logs.plays import PlaysLog
from predictor.viewing.episodes import episodes_of
from tests.edge_bench import EPOCH_S
from tests.edge_world import SEGMENT_COUNT, SEGMENT_S, World

RUNTIME_S = SEGMENT_S * SEGMENT_COUNT
# Pause before it, episode, where its viewer stops: as a segment ends, which is what an edge sees.
EVENING = (
    (0.0, 1, RUNTIME_S),
    (20.0, 2, RUNTIME_S),
    (600.0, 3, RUNTIME_S),
    (3 * 3600.0, 1, 28.0),
    (7200.0, 1, RUNTIME_S),
    (5.0, 2, RUNTIME_S),
    (50 * 3600.0, 2, RUNTIME_S),
)


def played() -> tuple[World, list[float]]:
    """The world in which it was watched, and when each play began."""
    world = World(prefetch=PrefetchConfig(head_at=0.1))
    world.run(ModelChanged(model_id="m1"))
    begins = []
    for pause_s, no, stop_s in EVENING:
        world.move_to(world.now_s + pause_s)
        begins.append(world.now_s)
        # The player asks for six more seconds than it shows by then, and shows them too.
        world.watch(no, stop_s if stop_s == RUNTIME_S else stop_s - 6.0)
        world.move_to(begins[-1] + stop_s)
    world.move_to(world.now_s + 100.0)
    return world, begins


def log_of(begins: list[float]) -> PlaysLog:
    """What an operator's log says of the same evening. An episode counts as over when the picture
    stands, a little before the manifest's end, unless the edge had time to see the end itself."""
    pauses_s = [pause_s for pause_s, _, _ in EVENING[1:]] + [1e9]
    watched_s = [
        stop_s - END_TOLERANCE_S if stop_s == RUNTIME_S and pause_s < 60.0 else stop_s
        for (_, _, stop_s), pause_s in zip(EVENING, pauses_s, strict=True)
    ]
    count = len(EVENING)
    numbers = np.array([no for _, no, _ in EVENING], dtype=np.int64)
    zeros = np.zeros(count, dtype=np.int64)
    return PlaysLog(
        viewer=zeros,
        start_s=np.array(begins) + EPOCH_S,
        watched_s=np.array(watched_s),
        runtime_s=np.full(count, RUNTIME_S),
        title=numbers - 1,
        series=zeros,
        season=zeros + 1,
        episode=numbers,
        device=zeros + 2,
        region=zeros,
        release_s=np.full(count, np.nan),
        genre=zeros - 1,
        utc_offset_h=np.zeros(count),
        viewers=("one",),
        titles=("e1", "e2", "e3"),
        series_names=("Series",),
        regions=("",),
        genres=(),
    )


def test_a_recorded_evening_gives_the_same_rows_in_training_and_on_an_edge() -> None:
    world, begins = played()
    served = np.array([predict.rows[0] for predict in world.predicts])
    progress = served[:, FEATURE_NAMES.index("progress")]
    plays = episodes_of(log_of(begins))
    asked = plays.take(plays.episode_no < 3)  # nothing follows the third, so nothing is asked
    for checkpoint, count in ((0.1, 6), (0.25, 6), (0.5, 6), (0.75, 5), (0.9, 5)):
        trained = rows_at(reached(asked, checkpoint), checkpoint)
        assert len(trained) == count
        np.testing.assert_allclose(
            served[np.abs(progress - checkpoint) < 1e-6], trained, rtol=1e-6, atol=1e-6
        )

    # At the end the log is up to the tolerance short of the manifest's run time, the edge is not.
    ended = rows_at_end(asked.take(asked.completion > 0.99))
    np.testing.assert_allclose(
        served[progress >= 1.0], ended, rtol=1e-6, atol=1.01 * END_TOLERANCE_S / RUNTIME_S
    )
