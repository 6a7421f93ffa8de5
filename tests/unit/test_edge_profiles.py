"""The profiles of `nearcast edge` are settings that exist, and are documented as such."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge.config import EdgeConfig
from edge.config.profiles import PROFILES
from nearcast.config import load

GUIDE = Path(__file__).parents[2] / "docs" / "deploy.md"


def as_text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_a_profile_is_what_its_switches_say(name: str) -> None:
    by_profile = load(EdgeConfig, role="edge", profile=name, profiles=PROFILES)
    switches = [f"{key}={as_text(value)}" for key, value in PROFILES[name].items()]
    by_switch = load(EdgeConfig, role="edge", assignments=switches)
    assert by_profile.value == by_switch.value
    changed = {key for key, source in by_profile.sources.items() if source != "default"}
    assert changed == set(PROFILES[name])


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_the_guide_writes_a_profile_out_as_switches(name: str) -> None:
    guide = GUIDE.read_text(encoding="utf-8")
    assert f"--profile {name}" in guide
    for key, value in PROFILES[name].items():
        assert f"--set {key}={as_text(value)}" in guide
