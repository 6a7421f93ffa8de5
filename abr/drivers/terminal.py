"""Keeps one line of a terminal up to date while a viewer plays."""

from __future__ import annotations

import asyncio
import shutil
from typing import TextIO

from abr.live_line import live_line
from abr.viewer import ViewerCore
from nearcast.clock import Clock

REFRESH_S = 0.25
CLEAR_LINE = "\r\x1b[K"


async def show_live_line(
    viewer: ViewerCore, clock: Clock, buffer_limit_s: float, out: TextIO
) -> None:
    """Write to `out`, a terminal, until cancelled; leaves the line empty."""
    try:
        while True:
            status = viewer.status()
            text = "" if status is None else live_line(status, clock.now_s(), buffer_limit_s)
            width = shutil.get_terminal_size().columns - 1
            out.write(CLEAR_LINE + text[:width])
            out.flush()
            await asyncio.sleep(REFRESH_S)
    finally:
        out.write(CLEAR_LINE)
        out.flush()
