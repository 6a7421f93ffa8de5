"""An origin of ours for byte ranges: the files of a folder, sent by the kernel.

Run as `python -m simulation.bench.ranges FOLDER`; it prints its port and serves until ended.
"""

from __future__ import annotations

import sys
from pathlib import Path

from aiohttp import web

from nearcast.aio import run, stop_signals

IDLE_CONNECTION_S = 600.0
"""Longer than any player waits for room in its buffer."""


async def serve(folder: Path) -> int:
    app = web.Application()
    app.router.add_static("/", folder)
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=IDLE_CONNECTION_S)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        with stop_signals() as stop:
            print(runner.addresses[0][1], flush=True)
            await stop.wait()
    finally:
        await runner.cleanup()
    return 0


if __name__ == "__main__":
    sys.exit(run(serve(Path(sys.argv[1]))))
