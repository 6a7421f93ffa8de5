"""Trains a title model, writes it as int8, and measures it beside Markov and popularity.

The steps: histories of first plays; settings chosen on the end of the log; the parts learnt from
all of it; float and int8 graphs; figures on questions that neither the parts nor the settings have
seen. Without a test log that is done on the log itself: once by time and once for the last title
of each viewer, each with parts and settings of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from nearcast.errors import InputError
from nearcast.whole_file import write_whole
from predictor import artifact
from predictor.artifact import Golden, Manifest
from predictor.kinds import RECOMMEND
from predictor.recommend.blend import Blend, BlendSettings
from predictor.recommend.graph import OPSET, to_onnx
from predictor.recommend.history import Floats, Ints, Scorer
from predictor.recommend.markov import Markov
from predictor.recommend.packing import tiers_of
from predictor.recommend.popularity import Popularity
from predictor.recommend.rows import best
from predictor.recommend.served import (
    FEATURE_NAMES,
    FEATURE_VERSION,
    OUTPUTS,
    TITLES_FILE,
    as_input,
)
from predictor.runtime import Graph
from predictor.train.describing import describe, model_id
from predictor.train.recommend_data import Listing
from predictor.train.recommend_fit import OnProgress, Tried, choose, learn
from predictor.train.recommend_queries import Known, known_of, queries, split_by_time
from predictor.train.recommend_queries import split_last as last_of_each
from predictor.train.recommend_report import BASELINES, Report, latency, measure

_TITLES_MIN: Final = 20
_GOLDEN_ROWS: Final = 6
_GOLDEN_COLUMNS: Final = 40
_GOLDEN_TOLERANCE: Final = 1e-3
_TIME_SHARE: Final = 0.9


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """All that training made."""

    model: bytes
    model_float: bytes
    titles: bytes
    manifest: Manifest
    report: Report


class Built(msgspec.Struct, frozen=True, kw_only=True):
    """A model learnt from a part of the events."""

    known: Known
    blend: Blend
    model: bytes
    model_float: bytes
    tried: tuple[Tried, ...]


class GraphScorer:
    """A graph as a scorer."""

    def __init__(self, model: bytes, source: str) -> None:
        self.graph = Graph(model, source=source)

    def scores(self, history: Ints) -> Floats:
        return np.asarray(self.graph.run(as_input([history]))[0], dtype=np.float64)


def train(
    listing: Listing,
    *,
    data_sha256: str,
    test: Listing | None = None,
    seed: int = 1,
    settings: BlendSettings | None = None,
    latency_calls: int = 1_000,
    on_progress: OnProgress = lambda _stage, _share: None,
) -> Trained:
    """`test` is of the time after `listing`; it is only measured on. Raises InputError."""
    # One thread: libraries that add up in parallel do not repeat to the last bit.
    with threadpool_limits(1):
        return _train(
            listing,
            data_sha256=data_sha256,
            test=test,
            seed=seed,
            start=settings or BlendSettings(),
            latency_calls=latency_calls,
            on_progress=on_progress,
        )


def _train(
    listing: Listing,
    *,
    data_sha256: str,
    test: Listing | None,
    seed: int,
    start: BlendSettings,
    latency_calls: int,
    on_progress: OnProgress,
) -> Trained:
    built = build(listing, start, on_progress)
    measured = []
    for name, before, after in _splits(listing, test):
        on_progress(f"measuring: {name}", 0.0)
        one = built if before is listing else build(before, start, on_progress)
        asked = queries(one.known, before, after)
        if asked:
            chosen = {"all": asked, "last": tuple(query for query in asked if query.is_last)}
            if name == "last":
                del chosen["all"]
            for which, some in chosen.items():
                label = which if test is not None else name if name == which else f"{name}-{which}"
                measured.append((label, measure(scorers(one), some, one.known.plays, seed)))
    baselines = {
        baseline: {name: one.quality[baseline] for name, one in measured} for baseline in BASELINES
    }
    report = Report(
        model_id=model_id(RECOMMEND, built.model),
        seed=seed,
        titles=len(built.known.titles),
        plays=len(listing),
        viewers=sum(len(history) > 0 for history in built.known.histories),
        test={
            name: {kind: one.quality[kind] for kind in ("float", "int8")} for name, one in measured
        },
        baselines=baselines,
        above={name: one.above for name, one in measured},
        best_baseline={
            name: max(BASELINES, key=lambda who: baselines[who][name].ndcg_10)
            for name, _ in measured
        },
        top_10_agreement={name: one.top_10_agreement for name, one in measured},
        calibration={name: one.calibration for name, one in measured},
        size_bytes=len(built.model),
        size_bytes_float=len(built.model_float),
        latency_s=latency(
            {
                "int8": GraphScorer(built.model, "the int8 graph").graph,
                "float": GraphScorer(built.model_float, "the float graph").graph,
            },
            built.known.histories,
            latency_calls,
        ),
        settings=built.blend.settings,
        tried=built.tried,
    )
    titles = msgspec.json.encode(built.known.titles)
    return Trained(
        model=built.model,
        model_float=built.model_float,
        titles=titles,
        manifest=describe(
            RECOMMEND,
            built.model,
            features=(FEATURE_VERSION, FEATURE_NAMES),
            outputs=OUTPUTS,
            opset=OPSET,
            precision="int8",
            files={TITLES_FILE: titles},
            golden=_golden(built),
            metrics=_metrics(report),
            data_sha256=data_sha256,
            seed=seed,
        ),
        report=report,
    )


def build(listing: Listing, start: BlendSettings, on_progress: OnProgress) -> Built:
    """Choose, learn and write, from these events alone."""
    known = known_of(listing)
    if len(known.titles) < _TITLES_MIN:
        raise InputError(
            f"there are only {len(known.titles)} titles to learn from, needed are {_TITLES_MIN}"
        )
    settings, tried = choose(listing, start, on_progress)
    blend = learn(known, settings)
    tiers = tiers_of(len(known.titles), 0 if blend.taste is None else settings.taste_rank)
    return Built(
        known=known,
        blend=blend,
        model=to_onnx(blend, tiers, is_packed=True),
        model_float=to_onnx(blend, tiers, is_packed=False),
        tried=tried,
    )


def scorers(built: Built) -> dict[str, Scorer]:
    """What is compared, all learnt from the same events."""
    count = len(built.known.titles)
    return {
        "popularity": Popularity(built.known.histories, count),
        "markov": Markov(built.known.histories, count),
        "float": GraphScorer(built.model_float, "the float graph"),
        "int8": GraphScorer(built.model, "the int8 graph"),
    }


def write(folder: Path, trained: Trained) -> None:
    """The model folder: int8 graph, titles, manifest, and the float graph for comparison."""
    artifact.write(folder, trained.model, trained.manifest, {TITLES_FILE: trained.titles})
    write_whole(folder / artifact.MODEL_FLOAT_FILE, trained.model_float)


def _splits(listing: Listing, test: Listing | None) -> tuple[tuple[str, Listing, Listing], ...]:
    if test is not None:
        return (("test", listing, test),)
    return (("time", *split_by_time(listing, _TIME_SHARE)), ("last", *last_of_each(listing)))


def _metrics(report: Report) -> dict[str, float]:
    return {
        f"{name}_{measure_name}": round(float(getattr(rows["int8"], measure_name)), 5)
        for name, rows in report.test.items()
        for measure_name in ("ndcg_10", "recall_10")
    }


def _golden(built: Built) -> Golden:
    graph = GraphScorer(built.model, "the int8 graph").graph
    longest = sorted(built.known.histories, key=len)
    chosen = [longest[at] for at in np.linspace(0, len(longest) - 1, _GOLDEN_ROWS).astype(int)]
    rows = as_input(chosen)
    answers = np.concatenate([graph.run(row[None, :]) for row in rows])
    columns = sorted({int(at) for row in answers for at in best(row.astype(np.float64), 8)})
    columns = columns[:_GOLDEN_COLUMNS]
    return Golden(
        inputs=tuple(tuple(float(number) for number in row) for row in rows),
        outputs=tuple(tuple(round(float(v), 7) for v in row[columns]) for row in answers),
        tolerance=_GOLDEN_TOLERANCE,
        columns=tuple(columns),
    )
