"""docs/reliability.md names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FOLDERS = ("tests/e2e", "tests/simulation", "tests/unit", "tests/property")


def test_every_test_named_for_a_fault_exists() -> None:
    page = (ROOT / "docs/reliability.md").read_text()
    named = set(re.findall(r"`(test_\w+)`", page))
    there = {
        name
        for folder in FOLDERS
        for file in (ROOT / folder).glob("test_*.py")
        for name in re.findall(r"^\s*(?:async )?def (test_\w+)", file.read_text(), re.MULTILINE)
    }
    assert len(named) > 30
    assert named <= there, f"no such tests: {sorted(named - there)}"
