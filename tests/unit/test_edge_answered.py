"""The answer to a write waits until what it ended is written down as gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from edge.drivers.server import answered
from edge.drivers.server.answered import Answered
from edge.effects import PassThrough
from edge.events import Event, FailureCause, Headers, PassAnswered
from nearcast.http1 import ResponseHead


class Disk:
    """Records when the test lets it."""

    def __init__(self, *, is_recorded: bool) -> None:
        self.is_recorded = is_recorded
        self.waiting: list[Callable[[], None]] = []

    def when_recorded(self, callback: Callable[[], None]) -> None:
        self.waiting.append(callback)


class Heard:
    """What came to the sink, in its order."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def interim(self, status: int, headers: Headers) -> None:
        self.calls.append("interim")

    def head(self, head: ResponseHead) -> None:
        self.calls.append("head")

    def data(self, data: bytes | memoryview) -> None:
        self.calls.append("data")

    def end(self, trailers: Headers) -> None:
        self.calls.append("end")

    def failed(self, cause: FailureCause, detail: str) -> None:
        self.calls.append("failed")


def answer(method: str, disk: Disk) -> tuple[Answered, Heard, list[Event]]:
    passed = PassThrough(request_id=1, method=method, url="http://x/", headers=(), cache_status="n")
    heard, told = Heard(), list[Event]()
    return Answered(passed, heard, told.append, disk), heard, told  # type: ignore[arg-type]


HEAD = ResponseHead(
    status=200, reason="OK", minor_version=1, headers=(), framing=3, is_keep_alive=True
)


def test_answer_to_a_write_waits_for_the_record_and_keeps_its_order() -> None:
    async def main() -> None:
        disk = Disk(is_recorded=False)
        passing, heard, told = answer("POST", disk)
        passing.head(HEAD)
        passing.data(b"new")
        passing.end(())
        assert [type(event) for event in told] == [PassAnswered]
        assert heard.calls == []
        disk.waiting[0]()
        assert heard.calls == ["head", "data", "end"]

    asyncio.run(main())


def test_failed_write_waits_too_and_is_told_once() -> None:
    async def main() -> None:
        disk = Disk(is_recorded=False)
        passing, heard, told = answer("POST", disk)
        passing.failed("timeout", "no answer")
        assert (len(told), heard.calls) == (1, [])
        disk.waiting[0]()
        assert heard.calls == ["failed"]

    asyncio.run(main())


@pytest.mark.parametrize(("method", "is_recorded"), [("POST", True), ("HEAD", False)])
def test_nothing_to_record_is_no_wait(method: str, is_recorded: bool) -> None:
    passing, heard, told = answer(method, Disk(is_recorded=is_recorded))
    passing.head(HEAD)
    assert (len(told), heard.calls) == (1, ["head"])


def test_disk_that_hangs_does_not_hold_the_answer_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setattr(answered, "RECORD_S", 0.0)
        passing, heard, _ = answer("DELETE", Disk(is_recorded=False))
        passing.head(HEAD)
        assert heard.calls == []
        later: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.01, later.set_result, None)
        await later
        assert heard.calls == ["head"]

    asyncio.run(main())
