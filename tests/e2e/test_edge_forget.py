"""Viewers of a real edge: nothing of who they are gets out, and they can be forgotten."""

from __future__ import annotations

import http.client
import json
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from typer.testing import CliRunner

from edge.cli import edge as commands
from nearcast.main import main
from tests.e2e.conftest import eventually
from tests.e2e.test_edge_prefetch import SEGMENT_COUNT, offer_series

if TYPE_CHECKING:
    from tests.e2e.conftest import EdgeProcess, FaultyOrigin, StartEdge

ADDRESS, AGENT, SESSION = "127.0.0.77", "Marked-Agent/77", "marked-session"
LIMIT_S = 20.0


def ask(edge: EdgeProcess, target: str) -> None:
    """From an address of its own, so that it can be looked for."""
    connection = http.client.HTTPConnection(
        "127.0.0.1", edge.port, timeout=LIMIT_S, source_address=(ADDRESS, 0)
    )
    said = f'bl=0,cid="e1",ot=v,sf=h,sid="{SESSION}"'
    try:
        connection.request("GET", target, headers={"user-agent": AGENT, "cmcd-session": said})
        assert connection.getresponse().read()
    finally:
        connection.close()


def test_nothing_tells_of_a_viewer_and_a_viewer_can_be_forgotten(
    origin: FaultyOrigin, start_edge: StartEdge, tmp_path: Path
) -> None:
    offer_series(origin)
    token, key = tmp_path / "token", tmp_path / "key"
    options = ["--admin", "127.0.0.1:0", "--admin-token-file", str(token)]
    options += ["--set", f"sessions.pseudonym_key_file={key}"]
    catalogs = origin.count("/v1/catalog")
    with start_edge(origin.url, *options, prefetch=True) as edge:
        admin = edge.ready_line.rpartition("http://")[2].strip(" )\n")
        origin.wait_for("/v1/catalog", catalogs + 1)
        ask(edge, "/media/e1/index.m3u8")
        for segment in range(SEGMENT_COUNT // 2 + 1):
            ask(edge, f"/media/e1/{segment}.ts")

        def said(path: str) -> str:
            with urllib.request.urlopen(f"http://{admin}{path}", timeout=LIMIT_S) as answer:
                text = answer.read().decode()
            assert isinstance(text, str)
            return text

        def counts() -> tuple[int, int]:
            status = json.loads(said("/.nearcast/status"))
            return status["viewer_count"], status["session_count"]

        eventually(lambda: counts() == (1, 1))
        told = [said("/metrics"), said("/.nearcast/status"), said("/.nearcast/models")]
        told += [said("/.nearcast/explain?url=/media/e2/0.ts"), edge.log()]
        told += [str(exchange.headers) for exchange in origin.seen]
        for secret in (ADDRESS, AGENT, SESSION, key.read_text().strip()):
            assert not [text for text in told if secret in text], secret

        runner = CliRunner()
        words = ["forget", ADDRESS, "--admin", admin, "--token-file"]
        other = runner.invoke(commands, [*words, str(token), "--user-agent", "Another/1"])
        assert "forgotten: viewers 0" in other.output
        for slip in ("nonsense", "127.0.0.7*", "127.0.0"):
            assert main(["edge", "forget", slip, *words[2:], str(token)]) == 2
        done = runner.invoke(
            commands, [*words, str(token), "--json", str(tmp_path / "forgotten.json")]
        )
        assert done.exit_code == 0, done.output
        assert done.output.startswith("forgotten: viewers 1, sessions 1, questions")
        assert json.loads((tmp_path / "forgotten.json").read_text())["viewers"] == 1
        assert counts() == (0, 0)
        wrong = tmp_path / "wrong"
        wrong.write_text("not-the-right-word-at-all\n")
        refused = main(["edge", *words, str(wrong)])
        assert refused == 2
        assert ADDRESS not in edge.log()
