"""A title as files: an MPD that gives the byte range of every segment, and a file for each rung.

The files are holes of the right size: nobody looks at what is in them. Ranges, unlike templates,
tell a player the size of each segment beforehand, which the session simulator knows as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from abr.view import Rungs
from nearcast.units import BITS_PER_BYTE, bps_from_kbps
from simulation.sessions.title import SessionTitle

MANIFEST = "manifest.mpd"
TICKS_PER_S = 1000


def write_title(title: SessionTitle, folder: Path) -> int:
    """Returns the bytes of the manifest."""
    folder.mkdir(parents=True)
    sizes_bytes = np.round(title.sizes_bits / BITS_PER_BYTE).astype(np.int64)
    for rung in range(title.rung_count):
        with (folder / _file_name(rung)).open("wb") as file:
            file.truncate(int(sizes_bytes[:, rung].sum()))
    return (folder / MANIFEST).write_bytes("\n".join(_lines(title, sizes_bytes)).encode())


def _lines(title: SessionTitle, sizes_bytes: Rungs) -> Iterator[str]:
    """`sizes_bytes` (segments, rungs)."""
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield (
        '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" minBufferTime="PT4S" '
        'profiles="urn:mpeg:dash:profile:full:2011" '
        f'mediaPresentationDuration="PT{title.duration_s:g}S"><Period>'
    )
    yield '<AdaptationSet contentType="video" mimeType="video/mp4" codecs="avc1.64001f">'
    for rung, rate_kbps in enumerate(title.ladder_kbps):
        yield f'<Representation id="{rung}" bandwidth="{bps_from_kbps(float(rate_kbps))}">'
        yield f"<BaseURL>{_file_name(rung)}</BaseURL>"
        yield (
            f'<SegmentList timescale="{TICKS_PER_S}" '
            f'duration="{round(title.segment_s * TICKS_PER_S)}">'
        )
        first = 0
        for size_bytes in sizes_bytes[:, rung]:
            yield f'<SegmentURL mediaRange="{first}-{first + size_bytes - 1}"/>'
            first += int(size_bytes)
        yield "</SegmentList></Representation>"
    yield "</AdaptationSet></Period></MPD>"


def _file_name(rung: int) -> str:
    return f"{rung}.mp4"
