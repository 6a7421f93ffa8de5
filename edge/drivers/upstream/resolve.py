"""From a name to addresses that may be connected to.

What is checked is what is connected to: a name is looked up here, its addresses are judged one by
one, and the socket is opened to an address and never to a name. So a name whose answer changes
between check and use (DNS rebinding) gains nothing.

Which addresses may be used says `UpstreamTarget.may_connect`: private ones only where the service
has `allow_private`, or its upstream was written as an address or as `localhost`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from edge.drivers.upstream.errors import UpstreamError
from edge.targets import UpstreamTarget, is_address

ADDRESSES_MAX: Final = 16
"""Of one name; nobody waits for more to be tried."""
LIFETIME_S: Final = 30.0
"""getaddrinfo does not tell how long an answer holds. Short enough to follow a moved origin."""
FAILURE_LIFETIME_S: Final = 1.0
STALE_LIFETIME_S: Final = 3600.0
"""Addresses that worked are used on while the resolver fails."""
NAMES_MAX: Final = 1024
"""Only configured names come here; a last bound."""

Lookup = Callable[[str, int], Awaitable[list[str]]]


class _Answer(msgspec.Struct):
    addresses: tuple[str, ...]
    failure: str | None
    until_s: float
    stale_until_s: float


class Resolver:
    """Looks up names, one question at a time for each."""

    def __init__(self, now_s: Callable[[], float], lookup: Lookup | None = None) -> None:
        self._now_s = now_s
        self._lookup = lookup if lookup is not None else _look_up
        self._answers: dict[str, _Answer] = {}
        self._asked: dict[str, asyncio.Task[_Answer]] = {}

    async def addresses(self, target: UpstreamTarget) -> tuple[str, ...]:
        """In the order to try them. Raises UpstreamError when there is none to be used."""
        if is_address(target.host):
            return (target.host,)
        answer = self._answers.get(target.host)
        if answer is None or self._now_s() >= answer.until_s:
            answer = await self._fresh(target.host, target.port)
        if answer.failure is not None:
            raise UpstreamError("refused", answer.failure)
        usable = tuple(address for address in answer.addresses if target.may_connect(address))
        if not usable:
            raise UpstreamError(
                "refused",
                f"{target.host} has only private addresses; set allow_private if that is right",
            )
        return usable

    async def _fresh(self, host: str, port: int) -> _Answer:
        task = self._asked.get(host)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._ask(host, port))
            self._asked[host] = task
            task.add_done_callback(lambda _: self._asked.pop(host, None))
        return await asyncio.shield(task)  # another one may wait for it too

    async def _ask(self, host: str, port: int) -> _Answer:
        try:
            found = await self._lookup(host, port)
            failure = None if found else f"{host} has no address"
        except (OSError, UnicodeError) as error:
            found, failure = [], f"cannot resolve {host}: {error}"
        now_s = self._now_s()
        before = self._answers.get(host)
        if failure is None:
            addresses = _alternating(dict.fromkeys(found))[:ADDRESSES_MAX]
            answer = _Answer(addresses, None, now_s + LIFETIME_S, now_s + STALE_LIFETIME_S)
        elif before is not None and before.failure is None and now_s < before.stale_until_s:
            answer = _Answer(
                before.addresses, None, now_s + FAILURE_LIFETIME_S, before.stale_until_s
            )
        else:
            answer = _Answer((), failure, now_s + FAILURE_LIFETIME_S, now_s)
        while len(self._answers) >= NAMES_MAX and host not in self._answers:
            del self._answers[next(iter(self._answers))]
        self._answers[host] = answer
        return answer


def _alternating(addresses: dict[str, None]) -> tuple[str, ...]:
    """The families in turn, as the resolver put them (RFC 8305, 4): when one family does not work
    here, the second try already is of the other."""
    first: list[str] = []
    second: list[str] = []
    leading = None
    for address in addresses:
        family = ":" in address
        leading = family if leading is None else leading
        (first if family == leading else second).append(address)
    mixed: list[str] = []
    for number in range(max(len(first), len(second))):
        mixed += first[number : number + 1] + second[number : number + 1]
    return tuple(mixed)


async def _look_up(host: str, port: int) -> list[str]:
    """Ask the system, in a thread of the loop's."""
    found = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
    )
    return [str(entry[4][0]) for entry in found]
