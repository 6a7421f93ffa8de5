"""Patterns of wire messages: `$` alone also fits before a last line's end."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from nearcast import model_index
from predictor import manifest, signature

ROOT = Path(__file__).parents[2]
PACKAGES = ("nearcast", "cache", "edge", "origin", "predictor", "abr", "simulation")
PATTERN = re.compile(r'pattern=r?"([^"]*)"')


def test_every_pattern_says_where_the_text_ends() -> None:
    found = {
        (str(file.relative_to(ROOT)), match[1])
        for package in PACKAGES
        for file in (ROOT / package).rglob("*.py")
        for match in PATTERN.finditer(file.read_text())
    }
    assert len(found) > 10
    assert [one for one in sorted(found) if one[1].endswith("$")] == []


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (manifest.FileName, "model.onnx"),
        (manifest.ModelId, "next-episode.1"),
        (manifest.Sha256, "0" * 64),
        (signature.KeyId, "0" * 16),
        (model_index.Url, "/models/next-episode/"),
    ],
)
def test_a_line_end_is_no_part_of_a_name(kind: type, text: str) -> None:
    assert msgspec.convert(text, kind) == text
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text + "\n", kind)
