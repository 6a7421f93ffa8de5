"""Which rendition of a title stands for one that an earlier edition had.

Edges report what they served by the names of renditions, and a title that is packaged anew has
others. What it was asked for before still says how much it is wanted: so a viewing of an old
rendition counts for the one that has its name but for the edition, else for the picture whose name
has the nearest number (`v1080` for `hevc1200`), else for the title alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from origin.catalog import rendition_stem

_NUMBER: Final = re.compile(r"[0-9]{1,6}")


def namesake(rendition_id: str, names: Sequence[str]) -> int:
    """Which of these it is, in whatever edition; -1: none."""
    stem = rendition_stem(rendition_id)
    return next((at for at, name in enumerate(names) if rendition_stem(name) == stem), -1)


def nearest_picture(rendition_id: str, names: Sequence[str]) -> int:
    """By the first number in it, of `names` by rising rate; the lower of two; -1: it has none."""
    wanted = _number(rendition_id)
    found = [
        (abs(number - wanted), at) for at, name in enumerate(names) if (number := _number(name))
    ]
    return min(found)[1] if wanted and found else -1


def _number(rendition_id: str) -> int:
    found = _NUMBER.search(rendition_stem(rendition_id))
    return int(found.group()) if found else 0
