"""What `nearcast edge models` prints: for people, at 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_STATES = {
    "starting": "is being verified and tried",
    "shadow": "shadow: answers, and is only compared",
    "active": "active",
    "probation": "active, on probation",
    "previous": "was active before, and is compared with its successor",
}
DRIFTED = 0.25
"""Population stability index above which it is another population."""
DETAIL_MAX = 60


def lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Of the answer to GET /.nearcast/models."""
    if not report["models"]:
        yield "no model runs; the rule decides"
    for model in report["models"]:
        yield from _model(model)
    if report["fetching"]:
        yield f"being fetched: {report['fetching']}"
    if report["decides_count"]:
        yield f"compared on {report['compared_count']} plays of which a day is known"
        yield f"    {report['decides_count']} decide; until then both go on answering"
    yield f"outcomes waited for: {report['pending_count']}"
    for name, title in (("refusals", "refused"), ("rollbacks", "rolled back")):
        counts = ", ".join(f"{reason} {count}" for reason, count in report[name].items())
        if counts:
            yield f"{title}: {counts}"
    for refused in report["refused"]:
        yield f"not tried again: {refused['model_id']}"
        yield f"    {refused['reason']}: {refused['detail'][:DETAIL_MAX]}".rstrip(": ")
    yield f"registry: {report['registry']['state']}"


def _model(model: Mapping[str, Any]) -> Iterator[str]:
    yield f"{model['model_id'] or '(not read yet)'}: {_STATES[model['state']]}"
    if not model["is_answering"] and model["state"] != "starting":
        yield "    its process died and is started again; until then the rule decides"
    tail = f", slowest in a hundred {model['p99_s'] * 1e3:.2f} ms" if model["p99_s"] else ""
    yield f"    from: {model['source']}, answers {model['answer_count']}{tail}"
    for name, title in (("within_30min", "30 min"), ("within_24h", "24 h"), ("within_7d", "7 d")):
        scores = model[name]
        if scores is not None:
            yield (
                f"    {title}: log-loss {scores['log_loss']:.3f} (base rate alone "
                f"{scores['base_log_loss']:.3f}), calibration error {scores['ece']:.3f},"
            )
            yield (
                f"        said {scores['mean_probability']:.2f}, true {scores['share']:.2f}, "
                f"{scores['outcome_count']} outcomes"
            )
    drifted = [one for one in model["drift"] if one["psi"] > DRIFTED]
    if drifted:
        yield f"    drifted (stability index above {DRIFTED}):"
        for one in drifted:
            yield f"        {one['feature']} {one['psi']:.2f}"
    elif model["drift"]:
        yield f"    drift: none; {model['drift'][0]['feature']} {model['drift'][0]['psi']:.2f}"
