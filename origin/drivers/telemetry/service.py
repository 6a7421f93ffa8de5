"""All of telemetry at an origin: what comes in by HTTP and NATS, and the history of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from nearcast.errors import NearcastError
from nearcast.fleet import Refused
from nearcast.telemetry import Received
from origin.config import OriginConfig
from origin.drivers.keeper import Keeper
from origin.drivers.objects import ObjectStore
from origin.drivers.state.store import ControlStore
from origin.drivers.telemetry.history import History
from origin.drivers.telemetry.intake import Intake, IntakeFigures
from origin.drivers.telemetry.nats_intake import NatsFigures, NatsIntake
from origin.drivers.telemetry.parquet import Answer

logger = logging.getLogger(__name__)

STEP_S: Final = 5.0
"""How often it is looked whether there is something to put into the history."""
HISTORY_NAME: Final = "history"


class TelemetryService:
    """Make it inside the running loop; `start`, then `close`."""

    def __init__(
        self,
        store: ControlStore,
        config: OriginConfig,
        *,
        holder: str,
        wall_s: Callable[[], float],
        is_known: Callable[[str], bool],
    ) -> None:
        """`holder` names this origin among those of the database; `is_known`: whether an edge of
        that name is in the fleet. Raises ConfigError for a history_url of no use."""
        self._wall_s = wall_s
        self._intake = Intake(store.database, keeps_raw=config.telemetry.history)
        self._nats: NatsIntake | None = None
        if config.telemetry.nats_url:
            self._nats = NatsIntake(
                self._intake, config.telemetry, wall_s=wall_s, is_known=is_known
            )
        self._history: History | None = None
        if config.telemetry.history:
            self._history = open_history(store, config, holder=holder)
        self.keeper: Final = Keeper()

    @property
    def figures(self) -> IntakeFigures:
        return self._intake.figures

    @property
    def nats_figures(self) -> NatsFigures | None:
        """None: nothing comes by NATS here."""
        return self._nats.figures if self._nats is not None else None

    def start(self) -> None:
        """Begin to take what comes by NATS, and to write the history."""
        if self._nats is not None:
            self.keeper.keep("telemetry.nats", self._nats.run)
        if self._history is not None:
            self.keeper.keep("telemetry.history", partial(self._write_history, self._history))

    async def receive(
        self,
        *,
        edge: str,
        boot_id: str,
        segment_no: int,
        offset_bytes: int,
        first_segment_no: int,
        body: bytes,
    ) -> Received | Refused:
        """The answer to a piece that came by HTTP, unpacked."""
        return await self._intake.receive(
            edge=edge,
            boot_id=boot_id,
            segment_no=segment_no,
            offset_bytes=offset_bytes,
            first_segment_no=first_segment_no,
            body=body,
            received_wall_s=self._wall_s(),
        )

    async def query(self, query: str, *, since_day: str = "") -> Answer | None:
        """Ask the history; None: none is kept. Raises InputError for a query of no use."""
        if self._history is None:
            return None
        return await self._history.query(query, since_day=since_day)

    async def close(self) -> None:
        """Finish what has come."""
        await self.keeper.close()
        await self._intake.close()
        if self._history is not None:
            with contextlib.suppress(NearcastError):  # it runs out by itself
                await self._history.release()

    async def _write_history(self, history: History) -> None:
        is_failing = False
        while True:
            try:
                await history.step(self._wall_s())
                is_failing = False
            except (NearcastError, OSError) as error:
                if not is_failing:
                    logger.warning("history.waits cause=%s", error)
                is_failing = True
            await asyncio.sleep(STEP_S)


def open_history(store: ControlStore, config: OriginConfig, *, holder: str) -> History:
    """The history that these settings name. Raises ConfigError."""
    url = config.telemetry.history_url
    if url:
        objects = ObjectStore.of_config(msgspec.structs.replace(config.objects, url=url))
    else:
        objects = ObjectStore.of_folder(Path(config.library) / HISTORY_NAME)
    return History(store, objects, config.telemetry, holder=holder)
