"""An origin of ours for what a file server cannot do: slow bodies, counted requests.

`/slow/<size>/<anything>` holds its first byte back for HOLD_S and then sends for SLOW_S;
`/<size>/<name>` and `/new/<size>/<anything>` are answered from the files of a folder;
`/count` tells how often slow bodies were asked for and when the last one's first byte left.
Run as `python -m simulation.bench.origin FOLDER`; it prints its port and serves until ended.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import time
from pathlib import Path
from typing import cast

import msgspec

from nearcast.aio import run, stop_signals

SLOW_S = 1.0
HOLD_S = 0.3
PIECE_COUNT = 32
"""Of a slow body; its size must be a multiple."""

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nCache-Control: max-age=86400\r\n\r\n"


class Count(msgspec.Struct, frozen=True):
    """`first_byte_at_s` is on the machine's monotonic clock, which all processes share."""

    slow_count: int
    first_byte_at_s: float


class _State:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.slow_count = 0
        self.first_byte_at_s = 0.0

    @functools.lru_cache(maxsize=512)  # noqa: B019 - there is one state, for as long as the process
    def body(self, size: str, name: str) -> bytes | None:
        try:
            return (self.root / Path(size).name / Path(name).name).read_bytes()
        except OSError:
            return None


class _Connection(asyncio.Protocol):
    def __init__(self, state: _State) -> None:
        self._state = state
        self._data = b""
        self._transport: asyncio.Transport | None = None
        self._slow: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def connection_lost(self, error: Exception | None) -> None:
        if self._slow is not None:
            self._slow.cancel()

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head, self._data = self._data[:end], self._data[end + 4 :]
            self._answer(head.split(b" ", 2)[1].decode("latin-1"))

    def _answer(self, target: str) -> None:
        assert self._transport is not None
        parts = target.partition("?")[0].strip("/").split("/")
        body: bytes | None = None
        if parts[0] == "slow":
            self._state.slow_count += 1
            work = self._send_slowly(int(parts[1]))
            self._slow = asyncio.get_running_loop().create_task(work)
            return
        if parts[0] == "count":
            count = Count(self._state.slow_count, self._state.first_byte_at_s)
            body = msgspec.json.encode(count)
        elif parts[0] == "new" and len(parts) == 3:
            body = self._state.body(parts[1], "0")
        elif len(parts) == 2:
            body = self._state.body(*parts)
        if body is None:
            self._transport.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        else:
            self._transport.write(_HEAD % len(body) + body)

    async def _send_slowly(self, size_bytes: int) -> None:
        assert self._transport is not None
        await asyncio.sleep(HOLD_S)
        piece = b"n" * (size_bytes // PIECE_COUNT)
        self._state.first_byte_at_s = time.perf_counter()
        self._transport.write(_HEAD % (len(piece) * PIECE_COUNT) + piece)
        for _ in range(PIECE_COUNT - 1):
            await asyncio.sleep(SLOW_S / PIECE_COUNT)
            self._transport.write(piece)


async def serve(root: Path) -> int:
    state = _State(root)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(state), "127.0.0.1", 0, backlog=1024)
    with stop_signals() as stop:
        print(server.sockets[0].getsockname()[1], flush=True)
        await stop.wait()
    server.close()
    return 0


if __name__ == "__main__":
    sys.exit(run(serve(Path(sys.argv[1]))))
