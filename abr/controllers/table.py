"""The family's table, and the settings that follow from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from abr.controllers.bola import Bola, BolaParams
from abr.controllers.bola_e import BolaE, BolaEParams
from abr.controllers.dynamic import Dynamic, DynamicParams
from abr.controllers.dynamic_dash import DynamicDash, DynamicDashParams
from abr.controllers.hybrid import Hybrid, HybridParams
from abr.controllers.nearcast import Nearcast, NearcastParams
from abr.controllers.robust_mpc import RobustMpc, RobustMpcParams
from abr.controllers.throughput import ThroughputParams, ThroughputRule
from abr.view import Controller
from nearcast.config import Section
from nearcast.table import Table


class ControllerPart(msgspec.Struct, frozen=True):
    """A controller and the struct of its parameters."""

    params: type[Section]
    build: Callable[[Any, int], Controller]
    """From the parameters, for so many sessions."""


CONTROLLERS: Table[ControllerPart] = Table(
    "controller",
    {
        "throughput": ControllerPart(ThroughputParams, ThroughputRule),
        "bola": ControllerPart(BolaParams, Bola),
        "dynamic": ControllerPart(DynamicParams, Dynamic),
        "bolae": ControllerPart(BolaEParams, BolaE),
        "dynamicdash": ControllerPart(DynamicDashParams, DynamicDash),
        "robust_mpc": ControllerPart(RobustMpcParams, RobustMpc),
        "hybrid": ControllerPart(HybridParams, Hybrid),
        "nearcast": ControllerPart(NearcastParams, Nearcast),
    },
)

if TYPE_CHECKING:
    ControllerSettings = Section
else:
    # One section per line of the table, so that a new controller needs no third place.
    ControllerSettings = msgspec.defstruct(
        "ControllerSettings",
        [
            (name, CONTROLLERS.get(name).params, CONTROLLERS.get(name).params())
            for name in CONTROLLERS
        ],
        bases=(Section,),
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
        module=__name__,
    )


def build_controller(
    name: str, settings: ControllerSettings | None = None, session_count: int = 1
) -> Controller:
    """The controller called `name`, for sessions 0 to `session_count` - 1. Raises ConfigError that
    lists the names there are."""
    part = CONTROLLERS.get(name)
    params = part.params() if settings is None else getattr(settings, name)
    return part.build(params, session_count)
