"""Names become addresses that may be connected to, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from edge.config import EdgeConfig
from edge.config.service import ServiceRules
from edge.drivers.upstream.errors import UpstreamError
from edge.drivers.upstream.resolve import FAILURE_LIFETIME_S, LIFETIME_S, Resolver
from edge.targets import UpstreamTarget

PUBLIC = "93.184.215.14"


def target(url: str, *, allow_private: bool = False) -> UpstreamTarget:
    config = EdgeConfig(upstream=url, service=ServiceRules(allow_private=allow_private))
    return UpstreamTarget.of(url, config.service_configs()[0])


class Names:
    """A resolver's answers, and a clock."""

    def __init__(self, *answers: list[str] | OSError) -> None:
        self.now_s = 0.0
        self.asked: list[str] = []
        self._answers = list(answers)

    async def look_up(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        await asyncio.sleep(0)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, OSError):
            raise answer
        return answer


def run(names: Names, work: Callable[[Resolver], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        await work(Resolver(lambda: names.now_s, names.look_up))

    asyncio.run(main())


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0"),
        *("100.64.0.1", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1"),
        *("ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:7f00:1::"),
        "fe80::1%1",
    ],
)
def test_name_that_leads_inside_is_refused_unless_that_is_configured(address: str) -> None:
    async def work(resolver: Resolver) -> None:
        with pytest.raises(UpstreamError) as caught:
            await resolver.addresses(target("http://origin.example"))
        assert caught.value.cause == "refused"
        assert "allow_private" in caught.value.detail
        allowed = target("http://origin.example", allow_private=True)
        assert await resolver.addresses(allowed) == (address,)

    run(Names([address]), work)


def test_private_addresses_among_public_ones_are_left_out() -> None:
    async def work(resolver: Resolver) -> None:
        found = await resolver.addresses(target("http://origin.example"))
        assert found == (PUBLIC,)

    run(Names(["10.0.0.1", PUBLIC, "::1"]), work)


def test_upstream_written_as_an_address_or_localhost_means_what_it_says() -> None:
    async def work(resolver: Resolver) -> None:
        assert await resolver.addresses(target("http://127.0.0.1:80")) == ("127.0.0.1",)
        assert await resolver.addresses(target("http://[::1]:80")) == ("::1",)
        assert names.asked == []
        assert await resolver.addresses(target("http://localhost:80")) == ("127.0.0.1",)

    names = Names(["127.0.0.1"])
    run(names, work)


def test_answer_that_changes_to_a_private_address_is_judged_again() -> None:
    async def work(resolver: Resolver) -> None:
        origin = target("http://origin.example")
        assert await resolver.addresses(origin) == (PUBLIC,)
        names.now_s = LIFETIME_S
        with pytest.raises(UpstreamError):
            await resolver.addresses(origin)

    names = Names([PUBLIC], ["127.0.0.1"])
    run(names, work)


def test_equal_questions_are_one_and_the_answer_holds_for_a_while() -> None:
    async def work(resolver: Resolver) -> None:
        origin = target("http://origin.example")
        await asyncio.gather(*(resolver.addresses(origin) for _ in range(5)))
        assert len(names.asked) == 1
        names.now_s = LIFETIME_S - 1
        await resolver.addresses(origin)
        assert len(names.asked) == 1
        names.now_s = LIFETIME_S
        await resolver.addresses(origin)
        assert len(names.asked) == 2

    names = Names([PUBLIC])
    run(names, work)


def test_failure_is_remembered_shortly() -> None:
    async def work(resolver: Resolver) -> None:
        origin = target("http://origin.example")
        for _ in range(2):
            with pytest.raises(UpstreamError):
                await resolver.addresses(origin)
        assert len(names.asked) == 1
        names.now_s = FAILURE_LIFETIME_S
        assert await resolver.addresses(origin) == (PUBLIC,)

    names = Names(OSError("no such name"), [PUBLIC])
    run(names, work)


def test_addresses_that_worked_are_used_while_the_resolver_fails() -> None:
    async def work(resolver: Resolver) -> None:
        origin = target("http://origin.example")
        await resolver.addresses(origin)
        names.now_s = LIFETIME_S
        assert await resolver.addresses(origin) == (PUBLIC,)
        assert len(names.asked) == 2

    names = Names([PUBLIC], OSError("the resolver is down"))
    run(names, work)


def test_families_alternate_so_that_a_broken_one_costs_one_try() -> None:
    async def work(resolver: Resolver) -> None:
        origin = target("http://origin.example", allow_private=True)
        assert await resolver.addresses(origin) == ("::1", "10.0.0.1", "::2", "10.0.0.2", "::3")

    run(Names(["::1", "::2", "::3", "10.0.0.1", "10.0.0.2", "::1"]), work)
