"""What may go wrong in a simulated network, and when.

A fault is named in a scenario (`[[faults]]`) or drawn by its seed (`random_faults`). It begins at a
moment, lasts for a time, and is over; `simulation.injector` does it to the nodes. The vocabulary is
that of real deployments (compare Toxiproxy's toxics), with the disk, the process and the clock:

    at the origin     down, hang, hang_body, reset, slow, truncated, truncated_chunked,
                      extra_bytes, errors           for `share` of the requests that come
    between           link                          nothing gets through
    at an edge        disk_full, model              while it lasts
                      bit_rot                       `count` stored bodies are damaged, at once
                      kill                          killed, and started again when it is over
                      clock                         the same, and the wall clock is `step_s` off

Source of the method: FoundationDB's and TigerBeetle's simulators, which run a whole cluster on
seeded faults in virtual time and look at its invariants.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
import numpy as np

from nearcast.config import Section

EVERYWHERE: Final = "*"

OriginFault = Literal[
    "down",
    "hang",
    "hang_body",
    "reset",
    "slow",
    "truncated",
    "truncated_chunked",
    "extra_bytes",
    "errors",
]
EdgeFault = Literal["link", "disk_full", "bit_rot", "kill", "clock", "model"]

ORIGIN_FAULTS: Final[tuple[OriginFault, ...]] = (
    "down",
    "hang",
    "hang_body",
    "reset",
    "slow",
    "truncated",
    "truncated_chunked",
    "extra_bytes",
    "errors",
)
EDGE_FAULTS: Final[tuple[EdgeFault, ...]] = (
    "link",
    "disk_full",
    "bit_rot",
    "kill",
    "clock",
    "model",
)
CLOCK_STEPS_S: Final = (-86_400.0, -3600.0, -1.0, 1.0, 3600.0, 86_400.0)


class FaultSpec(Section, frozen=True, kw_only=True):
    """One fault."""

    kind: OriginFault | EdgeFault
    at_s: Annotated[float, msgspec.Meta(ge=0)]
    lasts_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    edge: str = EVERYWHERE
    share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    """Of the requests that reach the origin."""
    count: Annotated[int, msgspec.Meta(gt=0)] = 3
    """Stored bodies that bit rot damages."""
    step_s: float = 0.0
    """How far off the wall clock is after a restart."""


class RandomFaults(Section, frozen=True, kw_only=True):
    """Faults drawn by the seed, evenly over `within_s`."""

    count: Annotated[int, msgspec.Meta(gt=0, le=10_000)]
    within_s: Annotated[float, msgspec.Meta(gt=0)]
    lasts_s_max: Annotated[float, msgspec.Meta(gt=0)] = 10.0
    kinds: tuple[OriginFault | EdgeFault, ...] = (*ORIGIN_FAULTS, *EDGE_FAULTS)


def draw_faults(
    spec: RandomFaults, edges: tuple[str, ...], generator: np.random.Generator
) -> tuple[FaultSpec, ...]:
    """The same ones for the same generator, in the order in which they begin."""
    drawn = []
    for _ in range(spec.count):
        at_s, lasts_s = (
            float(generator.uniform(0.0, limit_s)) for limit_s in (spec.within_s, spec.lasts_s_max)
        )
        drawn.append(
            FaultSpec(
                kind=spec.kinds[int(generator.integers(len(spec.kinds)))],
                at_s=round(at_s, 3),
                lasts_s=round(lasts_s, 3),
                edge=(*edges, EVERYWHERE)[int(generator.integers(len(edges) + 1))],
                share=float(generator.choice((0.3, 0.7, 1.0))),
                count=int(generator.integers(1, 6)),
                step_s=float(generator.choice(CLOCK_STEPS_S)),
            )
        )
    return tuple(sorted(drawn, key=lambda fault: fault.at_s))
