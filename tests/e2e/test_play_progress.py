"""What a live player knows of a body while it comes."""

import asyncio
from itertools import pairwise
from pathlib import Path

import numpy as np
from aiohttp import web

from abr import events as ev
from abr.config import PlayerConfig
from abr.drivers.http import ViewerDriver
from abr.viewer import PlayItem, ViewerCore, ViewingPlan
from nearcast.clock import SystemClock
from nearcast.record import NullRecorder
from simulation.bench.agreement.media import MANIFEST, write_title
from simulation.drivers.proxy import ShapedProxy
from simulation.link_shape import ProxySpec
from simulation.sessions.title import SessionTitle

LIMIT_S = 15.0
RATE_KBPS = 400.0


class Listening(ViewerCore):
    """A viewer, and what it was told of its last segment."""

    heard: list[int]

    def handle(self, event: ev.Event, now_s: float) -> None:
        if isinstance(event, ev.ResponseStarted):
            self.heard = []
        elif isinstance(event, ev.BytesArrived):
            self.heard.append(event.received_bytes)
        super().handle(event, now_s)


def test_a_slow_body_is_told_of_as_it_comes(tmp_path: Path) -> None:
    size_bytes = 30_000  # 0.6 s
    title = SessionTitle(np.array([RATE_KBPS]), 0.2, np.full((1, 1), size_bytes * 8.0))
    write_title(title, tmp_path / "title")

    async def main() -> list[int]:
        app = web.Application()
        app.router.add_static("/", tmp_path)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        spec = ProxySpec(to=f"127.0.0.1:{runner.addresses[0][1]}", rate_kbps=RATE_KBPS)
        clock = SystemClock()
        proxy = ShapedProxy(spec, clock)
        await proxy.start()
        item = PlayItem(url=f"http://{proxy.address}/title/{MANIFEST}")
        plan = ViewingPlan(viewer_id="one", items=(item,))
        viewer = Listening.from_config(
            PlayerConfig(startup_buffer_s=0), plan, recorder=NullRecorder()
        )
        try:
            async with asyncio.timeout(LIMIT_S):
                report = await ViewerDriver(viewer, clock, cmcd="off").run()
        finally:
            await proxy.drain(1.0)
            await runner.cleanup()
        assert report.sessions[0].ended == "finished"
        assert isinstance(viewer, Listening)
        return viewer.heard

    heard = asyncio.run(main())
    # The link lets 4 KiB through at a time, every 80 ms; each is news.
    assert max(two - one for one, two in pairwise(heard)) < 12 * 1024
    assert size_bytes - heard[-1] < 12 * 1024
