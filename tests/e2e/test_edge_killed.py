"""What an operator or a writer was told is gone stays gone, even if the node is killed at once."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import LIMIT_S, EdgeProcess, FaultyOrigin, StartEdge, eventually

URL = "/told-gone"
Change = Callable[[EdgeProcess, Path], None]


def ask_admin(edge: EdgeProcess, method: str, path: str, token: str = "", **what: object) -> Any:
    admin = edge.ready_line.rpartition("http://")[2].rstrip(")\n")
    connection = http.client.HTTPConnection(admin, timeout=LIMIT_S)
    try:
        headers = {"authorization": f"Bearer {token}"}
        connection.request(method, path, json.dumps(what).encode(), headers)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def purge(**what: object) -> Change:
    def change(edge: EdgeProcess, token_file: Path) -> None:
        token = token_file.read_text().strip()
        assert ask_admin(edge, "POST", "/purge", token, **what)["count"] == 1

    return change


def write(edge: EdgeProcess, token_file: Path) -> None:
    assert edge.request("POST", URL, b"new").status == 200


def is_written(edge: EdgeProcess) -> bool:
    status = ask_admin(edge, "GET", "/.nearcast/status")
    return bool(status["object_count"] and not status["store_queued_bytes"])


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(purge(url=URL), id="url"),
        pytest.param(purge(prefix=URL), id="prefix"),
        pytest.param(purge(tag="news"), id="tag"),
        pytest.param(purge(url=URL, soft=True), id="soft"),
        pytest.param(write, id="post"),
    ],
)
def test_what_was_told_to_be_gone_is_gone_after_a_kill(
    origin: FaultyOrigin, start_edge: StartEdge, tmp_path: Path, change: Change
) -> None:
    origin.serve(URL, b"old", surrogate_key="news")
    token_file = tmp_path / "token"
    arguments = [
        *("--store", str(tmp_path / "store")),
        *("--admin", "127.0.0.1:0", "--admin-token-file", str(token_file)),
    ]
    edge = start_edge(origin.url, *arguments)
    edge.get(URL)
    for _ in range(3):
        eventually(partial(is_written, edge))
        change(edge, token_file)
        edge.process.kill()
        edge.process.wait()
        edge = start_edge(origin.url, *arguments)
        assert not edge.get(URL).is_hit  # and is stored again, for the next kill
