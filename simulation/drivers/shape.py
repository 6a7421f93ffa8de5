"""Runs shaped proxies until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from nearcast.aio import stop_signals
from nearcast.clock import SystemClock
from simulation.drivers.proxy import ProxyFigures, ShapedProxy
from simulation.link_shape import ProxySpec

logger = logging.getLogger(__name__)

DRAIN_S = 3.0


async def run_proxies(specs: Sequence[ProxySpec]) -> tuple[ProxyFigures, ...]:
    """Serve all links until SIGTERM or SIGINT, drain, and say what went through.

    The first line on standard output is `ready NAME=HOST:PORT ...`, once all listen. Raises
    InputError when one of them cannot.
    """
    clock = SystemClock()
    proxies = [ShapedProxy(spec, clock) for spec in specs]
    with stop_signals() as stop:
        try:
            for proxy in proxies:
                await proxy.start()
            bound = " ".join(f"{proxy.spec.name}={proxy.address}" for proxy in proxies)
            with contextlib.suppress(BrokenPipeError):  # nobody reads: serve all the same
                print(f"ready {bound}", flush=True)
            await stop.wait()
        finally:
            await asyncio.gather(*(proxy.drain(DRAIN_S) for proxy in proxies))
    return tuple(proxy.figures() for proxy in proxies)
