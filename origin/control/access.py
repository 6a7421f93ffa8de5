"""Who may do what at the origin: tokens with roles, and a limit to guessing.

A viewer reads; an operator also drains edges and puts plans in force; an admin also lets edges and
people in and out. A token is 256 random bits, so the database keeps its plain SHA-256 and looks it
up by that: what a guesser could measure says nothing of any token.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from nearcast.enrol_token import secret_digest
from origin.records import Role

ROLES: Final[tuple[Role, ...]] = ("viewer", "operator", "admin")

TOKEN_PREFIX: Final = "nca1."
TOKEN_LENGTH_MAX: Final = 200

WRONG_MAX: Final = 10
"""Wrong tokens of one address within `WRONG_S` before it has to wait."""
WRONG_S: Final = 60.0
ADDRESSES_MAX: Final = 4_096


def allows(role: str, needed: Role) -> bool:
    """Whether a token of `role` may do what needs `needed`; an unknown role may do nothing."""
    return role in ROLES and ROLES.index(role) >= ROLES.index(needed)


def token_digest(token: str) -> str:
    """What is kept of an API token."""
    return secret_digest(token)


def looks_like_token(token: str) -> bool:
    """Whether asking the database is worth while."""
    return token.startswith(TOKEN_PREFIX) and len(token) <= TOKEN_LENGTH_MAX and token.isascii()


class Guesses:
    """Wrong tokens by address, over the last minute.

    The table is bounded: when it is full, the address that was wrong longest ago is forgotten.
    """

    def __init__(self) -> None:
        self._wrong: dict[str, deque[float]] = {}
        self.count = 0

    def wrong(self, address: str, now_s: float) -> None:
        self.count += 1
        times = self._wrong.pop(address, None) or deque(maxlen=WRONG_MAX)
        times.append(now_s)
        self._wrong[address] = times  # last, so that the first is the oldest
        if len(self._wrong) > ADDRESSES_MAX:
            del self._wrong[next(iter(self._wrong))]

    def wait_s(self, address: str, now_s: float) -> float:
        """How long this address has to wait before its next try; 0: it may."""
        times = self._wrong.get(address)
        if times is None or len(times) < WRONG_MAX:
            return 0.0
        return max(0.0, times[0] + WRONG_S - now_s)
