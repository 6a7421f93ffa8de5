"""Manifests are read in a thread of their own, so that no hit waits for them."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from edge.effects import ReadManifest
from edge.events import Event, ManifestRead
from edge.texts import read_manifest

logger = logging.getLogger(__name__)

TURN_S: Final = 0.0005
"""How long reading keeps the interpreter while the loop wants it. The ordinary 5 ms would be added
to each hit, several times over."""


class ManifestReader:
    """Performs `ReadManifest`. `close` at the end."""

    def __init__(
        self,
        tell: Callable[[Event], None],
        spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
    ) -> None:
        self._tell = tell
        self._spawn = spawn
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="manifests")

    def read(self, effect: ReadManifest) -> None:
        self._spawn(self._read(effect), "manifest")

    def close(self) -> None:
        """What is being read is read to its end, for nobody."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _read(self, effect: ReadManifest) -> None:
        loop = asyncio.get_running_loop()
        self._tell(await loop.run_in_executor(self._thread, _read, effect))


def _read(effect: ReadManifest) -> ManifestRead:
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(TURN_S)
    try:
        return read_manifest(effect)
    except Exception as error:  # whatever somebody else's text can do, it does not end the node
        logger.exception("manifest.broke_reader url=%s", effect.url)
        return ManifestRead(url=effect.url, manifest=None, detail=f"{type(error).__name__}")
    finally:
        sys.setswitchinterval(usual_s)
