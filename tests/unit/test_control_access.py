"""Roles and guesses."""

import pytest

from origin.control.access import (
    ADDRESSES_MAX,
    WRONG_MAX,
    WRONG_S,
    Guesses,
    allows,
    looks_like_token,
)


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        ("viewer", [True, False, False]),
        ("operator", [True, True, False]),
        ("admin", [True, True, True]),
        ("root", [False, False, False]),
        ("", [False, False, False]),
    ],
)
def test_each_role_may_do_what_the_lesser_may(role: str, allowed: list[bool]) -> None:
    assert [allows(role, "viewer"), allows(role, "operator"), allows(role, "admin")] == allowed


def test_guessing_has_to_wait_and_others_do_not() -> None:
    guesses = Guesses()
    for _ in range(WRONG_MAX):
        assert guesses.wait_s("192.0.2.1", 0.0) == 0.0
        guesses.wrong("192.0.2.1", 0.0)
    assert guesses.wait_s("192.0.2.1", 1.0) == pytest.approx(WRONG_S - 1.0)
    assert guesses.wait_s("192.0.2.2", 1.0) == 0.0
    assert guesses.wait_s("192.0.2.1", WRONG_S + 1.0) == 0.0
    assert guesses.count == WRONG_MAX


def test_many_addresses_take_bounded_room() -> None:
    guesses = Guesses()
    for _ in range(WRONG_MAX):
        guesses.wrong("first", 0.0)
    for index in range(ADDRESSES_MAX):
        guesses.wrong(str(index), 1.0)
    assert guesses.wait_s("first", 2.0) == 0.0
    assert guesses.wait_s("last", 2.0) == 0.0


def test_what_cannot_be_a_token_is_not_looked_up() -> None:
    assert looks_like_token("nca1.abc")
    assert not looks_like_token("abc")
    assert not looks_like_token("nca1." + "a" * 300)
    assert not looks_like_token("nca1.\u00e9")
