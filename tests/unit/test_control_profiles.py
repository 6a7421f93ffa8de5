"""What an operator may make of an edge's profile."""

from __future__ import annotations

import pytest

from nearcast.errors import InputError
from origin.control.api import ProfileWanted
from origin.drivers.control.profiles import changes


def test_only_what_is_said_is_changed() -> None:
    wanted = ProfileWanted(region="Île-de-France", cluster="paris 1")
    assert changes(wanted, 0.0) == {"region": "Île-de-France", "cluster": "paris 1"}


@pytest.mark.parametrize("name", ["a\nb", "\x1b[31mred", "nul\0", "\u202eback"])
@pytest.mark.parametrize("field", ["cluster", "region"])
def test_names_that_a_terminal_would_obey_are_refused(field: str, name: str) -> None:
    with pytest.raises(InputError, match="control characters"):
        changes(ProfileWanted(**{field: name}), 0.0)  # type: ignore[arg-type]
