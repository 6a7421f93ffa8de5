"""From what is said on the command line to a plan: files read, names looked up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from abr.controllers import CONTROLLERS, ControllerSettings
from abr.qoe import stall_penalty_of
from nearcast.config import Section, load
from nearcast.errors import ConfigError
from nearcast.seeds import Seeds
from nearcast.units import s_from_ms
from simulation.sessions.estimates import EstimateRule
from simulation.sessions.families import Family, read_family, shipped_families
from simulation.sessions.generated import generated_title
from simulation.sessions.rows import BOUND
from simulation.sessions.study import Choice, Condition, EdgeStore, Plan, TransportName
from simulation.sessions.title import SessionTitle, read_title

PENALTIES = ("stall_penalty", "switch_penalty")
"""Controllers that have these parameters are told what the figure will be."""
AUTO = "auto"

ValueT = TypeVar("ValueT")


class StudySettings(Section, frozen=True, kw_only=True):
    """What `--set` may change."""

    controllers: ControllerSettings = ControllerSettings()


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """As given; every list holds one value for all trace files, or one for each."""

    traces: tuple[Path, ...] = ()
    titles: tuple[Path, ...] = ()
    latencies_ms: tuple[float, ...] = (40.0,)
    traces_limit: int | None = None
    controllers: str | None = None
    settings: tuple[str, ...] = ()
    buffer_s: float = 25.0
    first_rung: str = "0"
    stall_penalty: float | None = None
    switch_penalty: float | None = None
    transport: TransportName = "plain"
    edge_hit_ratio: float = 0.0
    edge_speedup: float = 10.0
    edge_told: bool = False
    backhaul_ms: float = 20.0
    can_abandon: bool = True
    estimate: EstimateRule | None = None
    """None: `published` with the plain transport, as its reference results have it, else that of
    our own player."""
    seed: int = 0


def read_plan(options: Options) -> Plan:
    """Raises ConfigError for what does not fit together and InputError for bad files."""
    for name in ("buffer_s", "stall_penalty", "switch_penalty", "edge_speedup", "backhaul_ms"):
        value = getattr(options, name)
        if value is not None and not math.isfinite(value):
            raise ConfigError(f"--{name.replace('_', '-')} must be finite, got {value}")
    _check_effect(options)
    choices = read_choices(options)
    first_rung = _first_rung(options.first_rung)
    edge = EdgeStore(
        hit_ratio=options.edge_hit_ratio,
        speedup=options.edge_speedup,
        is_told=options.edge_told,
        backhaul_s=s_from_ms(options.backhaul_ms),
    )
    own_rule: EstimateRule = "published" if options.transport == "plain" else "player"
    plan = Plan(
        conditions=_conditions(options),
        choices=choices,
        buffer_s_max=options.buffer_s,
        first_rung=first_rung,
        switch_penalty=1.0 if options.switch_penalty is None else options.switch_penalty,
        transport=options.transport,
        edge=edge if edge.hit_ratio > 0 else None,
        can_abandon=options.can_abandon,
        estimate=options.estimate or own_rule,
        seed=options.seed,
    )
    plan.check()
    return plan


def _check_effect(options: Options) -> None:
    """Raises ConfigError for what would change nothing."""
    usual = Options()
    for name in ("edge_told", "edge_speedup", "backhaul_ms"):
        if getattr(options, name) == getattr(usual, name):
            continue
        option = f"--{name.replace('_', '-')}"
        if options.edge_hit_ratio == 0:
            raise ConfigError(f"{option} does nothing without --edge-hit-ratio above 0")
        if name == "backhaul_ms" and options.transport != "tcp":
            raise ConfigError(f"{option} does nothing without --transport tcp")


def read_choices(options: Options) -> tuple[Choice, ...]:
    """The controllers, each `NAME` or `NAME:parameter=value:...`; by default all there are."""
    texts = list(CONTROLLERS) if options.controllers is None else options.controllers.split(",")
    labels = [text.strip() for text in texts if text.strip()]
    if not labels:
        raise ConfigError("--controllers: say which, for example dynamic,bola")
    for label in labels:
        if labels.count(label) > 1:
            raise ConfigError(f"--controllers: {label} is named twice, and so would be its rows")
    return tuple(_choice(label, options) for label in labels)


def _choice(label: str, options: Options) -> Choice:
    name, *own = label.split(":")
    assignments: list[str] = []
    if name != BOUND:
        part = CONTROLLERS.get(name)
        fields = {field.name for field in msgspec.structs.fields(part.params)}
        for penalty in PENALTIES:
            value = getattr(options, penalty)
            if value is not None and penalty in fields:
                assignments.append(f"controllers.{name}.{penalty}={value!r}")
    elif own:
        raise ConfigError(f"{BOUND} has no parameters, got {label!r}")
    assignments += options.settings
    assignments += [f"controllers.{name}.{each}" for each in own]
    loaded = load(StudySettings, role="simulate", assignments=assignments)
    return Choice(label, name, loaded.value.controllers, tuple(assignments))


def _first_rung(text: str) -> int | None:
    if text == AUTO:
        return None
    if not text.isdecimal():
        raise ConfigError(f"--first-rung {text}: a rung counted from 0, or {AUTO}")
    return int(text)


def _conditions(options: Options) -> tuple[Condition, ...]:
    titles = [read_title(path) for path in options.titles]
    families = _families(options)
    if not titles:
        titles = [generated_title(Seeds(options.seed).stream("simulate/abr/title"))]
    latencies_ms = options.latencies_ms
    for latency_ms in latencies_ms:
        if not 0 <= latency_ms < math.inf:
            raise ConfigError(f"--latency-ms must be 0 or more, got {latency_ms:g}")
    return tuple(
        _condition(
            family,
            _one_of(titles, index, len(families), "--title"),
            _one_of(latencies_ms, index, len(families), "--latency-ms"),
            options,
        )
        for index, family in enumerate(families)
    )


def _condition(
    family: Family, title: SessionTitle, latency_ms: float, options: Options
) -> Condition:
    penalty = options.stall_penalty
    return Condition(
        family=family,
        title=title,
        latency_s=s_from_ms(latency_ms),
        stall_penalty=stall_penalty_of(title.ladder_kbps) if penalty is None else penalty,
    )


def _families(options: Options) -> tuple[Family, ...]:
    if not options.traces:
        return shipped_families(options.traces_limit)
    families = tuple(read_family(path, options.traces_limit) for path in options.traces)
    names = [family.name for family in families]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"--traces: two files are called {name}, and so would be their rows")
    return families


def _one_of(values: Sequence[ValueT], index: int, count: int, option: str) -> ValueT:
    if len(values) not in (1, count):
        raise ConfigError(f"{option}: give one for all {count} families or one for each")
    return values[0] if len(values) == 1 else values[index]
