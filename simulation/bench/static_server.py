"""The plainest server of the same kind: aiohttp's own static files on uvloop.

It is the upstream of the edge under test and, asked directly, the baseline that is always there.
Run as `python -m simulation.bench.static_server FOLDER`; it prints its port and serves until ended.
"""

from __future__ import annotations

import sys
from pathlib import Path

from aiohttp import web

from nearcast.aio import run, stop_signals


async def serve(folder: Path) -> int:
    app = web.Application()
    app.router.add_static("/", folder)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    with stop_signals() as stop:
        print(runner.addresses[0][1], flush=True)
        await stop.wait()
    await runner.cleanup()
    return 0


if __name__ == "__main__":
    sys.exit(run(serve(Path(sys.argv[1]))))
