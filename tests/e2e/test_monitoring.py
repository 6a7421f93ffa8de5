"""What the dashboard and the rules ask for is what origins and edges show."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import FaultyOrigin, StartEdge
from tests.fleet_world import ControlOrigin, empty_library

FOLDER = Path(__file__).parents[2] / "docs" / "monitoring"
RULES = FOLDER / "prometheus-rules.yml"
DASHBOARD = FOLDER / "grafana-fleet.json"


def rules() -> list[dict[str, Any]]:
    yaml: Any = pytest.importorskip("yaml", reason="PyYAML is not installed (comes with moto)")
    groups = yaml.safe_load(RULES.read_text())["groups"]
    assert len({group["name"] for group in groups}) == len(groups)
    return [rule for group in groups for rule in group["rules"]]


def queries() -> list[str]:
    dashboard = json.loads(DASHBOARD.read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    asked = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    asked += [
        one["query"]["query"] for one in dashboard["templating"]["list"] if "edge" in one["name"]
    ]
    return asked


def names(texts: list[str]) -> set[str]:
    return {name for text in texts for name in re.findall(r"\bnearcast_\w+", text)}


def shown(text: str) -> set[str]:
    """Names of samples, and of families that have none yet."""
    found = {re.split(r"[{ ]", line)[0] for line in text.splitlines() if line[:1] not in ("#", "")}
    found |= {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    return found


def test_every_metric_that_is_asked_for_is_shown(
    origin: FaultyOrigin, start_edge: StartEdge, tmp_path: Path
) -> None:
    edge = start_edge(origin.url)
    known = shown(edge.get("/metrics").body.decode())
    with ControlOrigin(empty_library(tmp_path / "library")) as control:
        control.enrol("ams-1").beat()
        known |= shown(control.ask("GET", "/metrics").body.decode())
    # Of an edge that has enrolled alone (edge/drivers/fleet_metrics.py).
    known |= {"nearcast_edge_fleet_joined", "nearcast_edge_plan_refusals_total"}
    asked = names([rule["expr"] for rule in rules()] + queries())
    assert len(asked) > 30
    assert sorted(asked - known) == []


def test_rules_are_whole_and_use_what_is_recorded() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    alerts = [rule for rule in rules() if "alert" in rule]
    assert len({rule["alert"] for rule in alerts}) == len(alerts) > 10
    page = (FOLDER.parent / "monitoring.md").read_text()
    for rule in alerts:
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
        assert {"summary", "description"} <= set(rule["annotations"])
        assert f"`{rule['alert']}`" in page
        assert set(re.findall(r"\bnearcast:\w+", rule["expr"])) <= recorded, rule["alert"]
