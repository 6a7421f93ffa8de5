"""Families of exchangeable parts: one file per part, one line in its family's table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

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
