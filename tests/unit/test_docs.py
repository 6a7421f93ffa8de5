"""What the guides refer to is there."""

import re
from pathlib import Path

import pytest

from origin.drivers.metrics import OriginMetrics

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md")))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    inside = [target for target in targets if "://" not in target]
    assert [target for target in inside if not (page.parent / target).exists()] == []


def test_every_metric_of_the_origin_is_explained() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text()
    names = [family.name for family in OriginMetrics().registry.collect()]
    assert names
    assert [name for name in names if f"`{name}`" not in text] == []
