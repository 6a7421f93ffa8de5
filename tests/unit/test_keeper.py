"""Background work of an origin: what breaks is told, counted, and begun anew."""

from __future__ import annotations

import asyncio

import pytest

from origin.drivers.keeper import Keeper


def test_work_that_breaks_is_begun_anew(caplog: pytest.LogCaptureFixture) -> None:
    rounds = 0

    async def main() -> Keeper:
        went_on = asyncio.Event()

        async def work() -> None:
            nonlocal rounds
            rounds += 1
            if rounds < 3:
                raise KeyError("a fault of ours")
            went_on.set()
            await asyncio.Event().wait()

        keeper = Keeper(pause_s=0.0)
        keeper.keep("planning", work)
        async with asyncio.timeout(5.0):
            await went_on.wait()
        await keeper.close()
        return keeper

    keeper = asyncio.run(main())
    assert keeper.broken == {"planning": 2}
    assert caplog.text.count("a fault of ours") >= 2


def test_work_that_ends_by_itself_stays_ended() -> None:
    rounds = 0

    async def main() -> None:
        async def work() -> None:
            nonlocal rounds
            rounds += 1

        keeper = Keeper(pause_s=0.0)
        keeper.keep("once", work)
        for _ in range(5):
            await asyncio.sleep(0)
        await keeper.close()

    asyncio.run(main())
    assert rounds == 1


def test_close_insists_where_a_cancellation_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("origin.drivers.keeper.CLOSE_S", 0.001)
    lost = 0

    async def main() -> None:
        async def work() -> None:
            nonlocal lost
            while True:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    lost += 1
                    if lost > 1:
                        raise

        keeper = Keeper()
        keeper.keep("deaf", work)
        await asyncio.sleep(0)
        async with asyncio.timeout(5.0):
            await keeper.close()

    asyncio.run(main())
    assert lost == 2
