"""One run of `nearcast train demand`: files to models and their reports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from nearcast.errors import InputError
from nearcast.seeds import Seeds
from predictor.demand.history import DAY, WEEK, DemandHistory
from predictor.train import demand
from predictor.train.demand import OnProgress, Trained
from predictor.train.demand_boosting import BoostSettings
from predictor.train.demand_countries import CountryReport, foresee_lists
from predictor.train.demand_data import (
    COUNTRIES,
    TOP_LIST,
    kind_of_file,
    period_from,
    plays_history,
    read_log,
    read_weekly,
    sha256_of,
    top_list_history,
    whole_periods,
)
from predictor.train.demand_merge import merged
from predictor.train.demand_scores import Figures
from predictor.train.demand_study import Report, judge, report

_MEASURED_MAX: Final = {WEEK: 26, DAY: 28}
_MEASURED_SHARE: Final = 0.25
"""Of a history without a test file; its end, up to half a year of weeks or four weeks of days."""
_TRAINING_MIN: Final = 4


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """By period: `week`, and for logs of plays `day`."""

    trained: dict[str, Trained]
    reports: dict[str, Report]
    countries: CountryReport | None


def run(
    data: Sequence[Path],
    test: Sequence[Path],
    *,
    seed: int,
    settings: BoostSettings,
    on_progress: OnProgress = lambda stage, share: None,
) -> Result:
    """Raises InputError for files that make no sense, or do not go together."""
    data_by, test_by = _by_kind(data), _by_kind(test)
    if not set(test_by) <= set(data_by):
        raise InputError("--test must have the columns of --data")
    on_progress("reading", 0.0)
    countries = None
    if "countries" in data_by:
        lists = [read_weekly(path, COUNTRIES) for path in data_by["countries"]]
        later = [read_weekly(path, COUNTRIES) for path in test_by.get("countries", [])]
        countries = foresee_lists(lists, later, seed=seed)
    histories = _histories(data_by, test_by)
    trained, reports = {}, {}
    for history, first in histories:
        trained[history.period], reports[history.period] = _train(
            history,
            first,
            has_test=bool(test_by.keys() - {"countries"}),
            data_sha256=sha256_of(data),
            seed=seed,
            settings=settings,
            on_progress=on_progress,
        )
    return Result(trained=trained, reports=reports, countries=countries)


def _train(
    history: DemandHistory,
    first: int,
    *,
    has_test: bool,
    data_sha256: str,
    seed: int,
    settings: BoostSettings,
    on_progress: OnProgress,
) -> tuple[Trained, Report]:
    """With a test file what is written was measured; else it also learnt from what was measured."""
    trees = demand.fit(history.until(first), seed=seed, settings=settings, on_progress=on_progress)
    on_progress("measuring", 0.0)
    judged = judge(history, trees, first)
    learnt_from = history.until(first)
    written = trees
    if not has_test:
        learnt_from = history
        written = demand.fit(history, seed=seed, settings=settings, on_progress=on_progress)
    rows = demand.learned_rows(learnt_from, written.table, Seeds(seed))
    trained = demand.package(written, rows, data_sha256=data_sha256, seed=seed)
    last = f"the last {history.period_count - first} {history.period}s of the data, left out"
    found = report(
        history,
        judged,
        trees,
        first=first,
        measured_on="the test file" if has_test else last,
        model_id=trained.manifest.model_id,
        size_bytes=len(trained.model),
        seed=seed,
    )
    metrics = {f"wape_{name}": one.wape for name, one in _by_who(found).items()}
    manifest = msgspec.structs.replace(trained.manifest, metrics=metrics)
    return msgspec.structs.replace(trained, manifest=manifest), found


def _by_who(found: Report) -> dict[str, Figures]:
    return {"trees": found.test["all"]["float"]} | {
        name.replace(" ", "_"): one for name, one in found.baselines.items()
    }


def _by_kind(paths: Sequence[Path]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in paths:
        found.setdefault(kind_of_file(path), []).append(path)
    if "plays" in found and len(found) > 1:
        raise InputError("demand is learnt from weekly lists or from a log of plays, not from both")
    return found


def _histories(
    data: dict[str, list[Path]], test: dict[str, list[Path]]
) -> list[tuple[DemandHistory, int]]:
    """Each with the first period to measure."""
    if "plays" in data:
        log = read_log(data["plays"])
        start_s = None
        if "plays" in test:
            later = read_log(test["plays"])
            start_s = float(later.start_s[0])
            log = merged(log, later)
        # Two weeks of a log are worth a model of the next day, and none of the next week.
        has_weeks = whole_periods(log, WEEK) > _TRAINING_MIN
        periods = (WEEK, DAY) if has_weeks else (DAY,)
        histories = [plays_history(log, period) for period in periods]
        if start_s is None:
            return [_split(history) for history in histories]
        return [_checked(history, period_from(log, history, start_s)) for history in histories]
    if "top list" not in data:
        return []
    lists = [read_weekly(path, TOP_LIST) for path in data["top list"]]
    later_lists = [read_weekly(path, TOP_LIST) for path in test.get("top list", [])]
    history = top_list_history([*lists, *later_lists])
    if not later_lists:
        return [_split(history)]
    ends = min(int(part.week.min()) for part in later_lists)
    return [_checked(history, (ends - 6 - history.first_day) // 7)]


def _split(history: DemandHistory) -> tuple[DemandHistory, int]:
    """The end of the history is measured on."""
    share = max(1, round(_MEASURED_SHARE * history.period_count))
    return _checked(history, history.period_count - min(share, _MEASURED_MAX[history.period]))


def _checked(history: DemandHistory, first: int) -> tuple[DemandHistory, int]:
    if not _TRAINING_MIN <= first < history.period_count:
        raise InputError(
            f"{first} {history.period}s of the data lie before what is measured on, and "
            f"{max(0, history.period_count - first)} in it; needed are {_TRAINING_MIN} and 1"
        )
    return history, first


def summary(result: Result) -> dict[str, object]:
    """For `--json`: the week's report, with the day's and the countries' below."""
    found: dict[str, object] = {}
    if WEEK in result.reports:
        found |= msgspec.structs.asdict(result.reports[WEEK])
    if DAY in result.reports:
        found["day"] = result.reports[DAY]
    if result.countries is not None:
        found["countries"] = result.countries
    return found
