"""Families of exchangeable parts: one file per part, one line in its family's table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

import msgspec

from nearcast.config import Section
from nearcast.errors import ConfigError

PartT = TypeVar("PartT")


class Table(Generic[PartT]):
    """The parts of one family by name, in the order they should be shown."""

    def __init__(self, family: str, parts: Mapping[str, PartT]) -> None:
        self.family = family
        self._parts = dict(parts)

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def get(self, name: str) -> PartT:
        """The part called `name`. Raises ConfigError that lists the names there are."""
        try:
            return self._parts[name]
        except KeyError:
            known = ", ".join(self._parts)
            raise ConfigError(
                f"no {self.family} is called {name!r}; choose from: {known}"
            ) from None


def sections(name: str, params: Mapping[str, type[Section]], module: str) -> type[Section]:
    """A settings struct with one section for each part of a family, all at their defaults, so that
    a new part needs no place among the settings."""
    made: type[Section] = msgspec.defstruct(  # type: ignore[assignment]  # as `bases` says
        name,
        [(part, kind, kind()) for part, kind in params.items()],
        bases=(Section,),
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
        module=module,
    )
    return made
