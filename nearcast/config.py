"""Settings: defaults < profile < TOML file < environment < `--set`.

A role's settings are one msgspec struct, nested structs being its sections; `forbid_unknown_fields`
makes a typo an error. Environment variables are `NEARCAST_<ROLE>__SECTION__KEY`. A field whose name
ends in `_bytes`, `_bytes_min` or `_bytes_max` also takes a size such as `10GB`.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar, get_args, get_type_hints

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
        for name, value in leaves(self.value):
            yield f"{name} = {msgspec.json.encode(value).decode()}    # {self._source(name)}"

    def _source(self, name: str) -> str:
        """Where a key's value came from: an entry of a list came with the list."""
        while name not in self.sources:
            name = name[: max(name.rfind("."), name.rfind("["))]
        return self.sources[name]


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
    given: dict[tuple[str, ...], Any] = {}
    origins: dict[tuple[str, ...], str] = {}
    for key, item, source in settings:
        given.pop(key, None)
        given[key] = _checked(kind, key, item, f"{'.'.join(key)} ({source})")
        origins[key] = source
    value = _built(kind, (), given, origins)
    sources = {name: "default" for name, _ in leaves(kind())}
    sources |= {".".join(key): source for key, source in origins.items()}
    return Loaded(value, sources)


def leaves(value: msgspec.Struct, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Each setting by its dotted name; entries of a list of sections as `services[0].name`."""
    for name in _fields(type(value)):
        item = getattr(value, name)
        if isinstance(item, msgspec.Struct):
            yield from leaves(item, f"{prefix}{name}.")
        elif isinstance(item, tuple) and item and isinstance(item[0], msgspec.Struct):
            for index, one in enumerate(item):
                yield from leaves(one, f"{prefix}{name}[{index}].")
        else:
            yield prefix + name, item


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
    hints = get_type_hints(kind, include_extras=True)
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


def _checked(kind: Any, key: tuple[str, ...], item: Any, where: str) -> Any:
    """`item` as the type of the setting `key`."""
    for depth, name in enumerate(key):
        fields = _fields(kind)
        if name not in fields:
            prefix = ".".join(key[:depth])
            section = f"[{prefix}]" if prefix else "the top level"
            known = ", ".join(fields)
            raise ConfigError(f"unknown setting {where}; {section} knows: {known}")
        kind = fields[name]
        if depth < len(key) - 1 and not _is_section(kind):
            raise ConfigError(f"unknown setting {where}: {name} is a value, not a section")
    if _is_section(kind):
        raise ConfigError(f"{where}: {key[-1]} is a section, not a value")
    return _convert(key[-1], kind, item, where)


def _built(
    kind: Any,
    prefix: tuple[str, ...],
    given: Mapping[tuple[str, ...], Any],
    origins: Mapping[tuple[str, ...], str],
) -> Any:
    """A section of what was given and of defaults. Built once, when all is there: what one setting
    says of another holds in whichever order they came."""
    values: dict[str, Any] = {}
    for name, field in _fields(kind).items():
        key = (*prefix, name)
        if _is_section(field):
            values[name] = _built(field, key, given, origins)
        elif key in given:
            values[name] = given[key]
    try:
        return kind(**values)
    except ValueError as error:
        inside = [key for key in given if key[: len(prefix)] == prefix]
        if not inside:
            raise
        # A section that names the setting first is believed; else the last one that was given.
        name, _, said = str(error).partition(": ")
        key, text = (*prefix, name), said
        if key not in given:
            key, text = inside[-1], str(error)
        raise ConfigError(f"{'.'.join(key)} ({origins[key]}): {text}") from error


_AT = re.compile(r" - at `\$([^`]*)`$")


def _convert(name: str, kind: Any, item: Any, where: str) -> Any:
    """`item` as the type of the setting; text (from the environment, from `--set`) is read as what
    it is meant to be: a size, a list with commas, for lists of sections JSON."""
    is_text = isinstance(item, str)
    try:
        if (
            is_text
            and name.endswith(("_bytes", "_bytes_min", "_bytes_max"))
            and item.strip().lower() != "null"
        ):
            item = parse_size(item)
        elif is_text and item.lstrip()[:1] in ("[", "{") and _holds_sections(kind):
            item, is_text = msgspec.json.decode(item), False
        elif is_text and "tuple" in str(kind):
            item = [part.strip() for part in item.split(",") if part.strip()]
        value = msgspec.convert(item, kind, strict=not is_text)
    except (ConfigError, msgspec.MsgspecError) as error:
        text = str(error)
        if (at := _AT.search(text)) is not None:  # the place inside, as part of the key's name
            key, space, source = where.partition(" ")
            where, text = f"{key}{at[1]}{space}{source}", text[: at.start()]
        raise ConfigError(f"{where}: {text}") from error
    for part in value if isinstance(value, tuple) else (value,):
        if isinstance(part, float) and not math.isfinite(part):
            raise ConfigError(f"{where}: must be a finite number, got {part}")
    return value


def _holds_sections(kind: Any) -> bool:
    return _is_section(kind) or any(_holds_sections(part) for part in get_args(kind))
