"""Settings: defaults < profile < TOML file < environment < `--set`.

A role's settings are one msgspec struct, nested structs being its sections; `forbid_unknown_fields`
makes a typo an error. Environment variables are `NEARCAST_<ROLE>__SECTION__KEY`. A field whose name
ends in `_bytes` or `_bytes_max` also takes a size such as `10GB`.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar, get_type_hints

import msgspec

from nearcast.errors import ConfigError
from nearcast.units import parse_size

ConfigT = TypeVar("ConfigT", bound=msgspec.Struct)


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all settings structs."""


class Loaded(msgspec.Struct, Generic[ConfigT], frozen=True):
    """The settings, and for each dotted key where its value came from."""

    value: ConfigT
    sources: Mapping[str, str]

    def lines(self) -> Iterator[str]:
        """`key = value    # source`, one per setting, for --print-config."""
        for key, value in _leaves(self.value, ()):
            name = ".".join(key)
            yield f"{name} = {msgspec.json.encode(value).decode()}    # {self.sources[name]}"


def load(
    kind: type[ConfigT],
    *,
    role: str,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    assignments: Sequence[str] = (),
    profile: str | None = None,
    profiles: Mapping[str, Mapping[str, Any]] | None = None,
) -> Loaded[ConfigT]:
    """Build `kind` from its layers; `assignments` are the `a.b=value` of `--set`. `profile` names
    one of `profiles`, bundles of settings by dotted key.

    Raises ConfigError that names key and layer for an unknown key or a value that does not fit.
    """
    value = kind()
    sources = {".".join(key): "default" for key, _ in _leaves(value, ())}
    settings: list[tuple[tuple[str, ...], Any, str]] = []
    if profile is not None:
        known = profiles or {}
        if profile not in known:
            names = ", ".join(sorted(known)) or "none"
            raise ConfigError(f"there is no profile {profile!r}; known: {names}")
        settings += [
            (tuple(name.split(".")), item, f"profile {profile}")
            for name, item in known[profile].items()
        ]
    if file is not None:
        settings += [(key, item, str(file)) for key, item in _flatten(_read_toml(file), kind, ())]
    settings += list(_from_environ(role, environ or {}))
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise ConfigError(f"--set {assignment}: write it as key=value")
        settings.append((tuple(name.strip().split(".")), text, "--set"))
    for key, item, source in settings:
        value = _assign(value, key, item, f"{'.'.join(key)} ({source})", key)
        for name in list(sources):
            if name == ".".join(key) or name.startswith(".".join(key) + "."):
                sources[name] = source
    return Loaded(value, sources)


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not valid TOML: {error}") from error


def _from_environ(
    role: str, environ: Mapping[str, str]
) -> Iterator[tuple[tuple[str, ...], str, str]]:
    prefix = f"NEARCAST_{role.upper()}__"
    for name in sorted(environ):
        if name.startswith(prefix):
            yield tuple(name.removeprefix(prefix).lower().split("__")), environ[name], name


def _fields(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in msgspec.structs.fields(kind)}


def _is_section(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _flatten(
    table: Mapping[str, Any], kind: Any, prefix: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    fields = _fields(kind)
    for name, item in table.items():
        key = (*prefix, name)
        if isinstance(item, dict) and _is_section(fields.get(name)):
            yield from _flatten(item, fields[name], key)
        else:
            yield key, item


def _leaves(
    value: msgspec.Struct, prefix: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name in _fields(type(value)):
        item = getattr(value, name)
        key = (*prefix, name)
        if isinstance(item, msgspec.Struct):
            yield from _leaves(item, key)
        else:
            yield key, item


def _assign(value: Any, path: tuple[str, ...], item: Any, where: str, key: tuple[str, ...]) -> Any:
    """`value` with the field at `path` replaced; structs are frozen, so it is rebuilt on the way
    up."""
    fields = _fields(type(value))
    name, rest = path[0], path[1:]
    if name not in fields:
        known = ", ".join(fields)
        prefix = ".".join(key[: len(key) - len(path)])
        section = f"[{prefix}]" if prefix else "the top level"
        raise ConfigError(f"unknown setting {where}; {section} knows: {known}")
    if rest:
        if not _is_section(fields[name]):
            raise ConfigError(f"unknown setting {where}: {name} is a value, not a section")
        new = _assign(getattr(value, name), rest, item, where, key)
    elif _is_section(fields[name]):
        raise ConfigError(f"{where}: {name} is a section, not a value")
    else:
        new = _convert(name, fields[name], item, where)
    try:
        # Rebuilt from plain values so that the struct's own range constraints are checked too.
        return msgspec.convert(
            {**{f: getattr(value, f) for f in fields}, name: new}, type(value), from_attributes=True
        )
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {error}") from error
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error


def _convert(name: str, kind: Any, item: Any, where: str) -> Any:
    """`item` as the type of the setting; text (from the environment, from `--set`) is read as what
    it is meant to be."""
    is_text = isinstance(item, str)
    try:
        if is_text and name.endswith(("_bytes", "_bytes_max")) and item.strip().lower() != "null":
            item = parse_size(item)
        elif is_text and "tuple" in str(kind):
            item = [part.strip() for part in item.split(",") if part.strip()]
        value = msgspec.convert(item, kind, strict=not is_text)
    except (ConfigError, msgspec.ValidationError) as error:
        raise ConfigError(f"{where}: {error}") from error
    for part in value if isinstance(value, tuple) else (value,):
        if isinstance(part, float) and not math.isfinite(part):
            raise ConfigError(f"{where}: must be a finite number, got {part}")
    return value
