"""Several services on one node, on real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import EdgeProcess, FaultyOrigin

if TYPE_CHECKING:
    from tests.e2e.conftest import Exchange

SETTINGS = """
[[services]]
name = "video"
upstream = "{origin}/video"
hosts = ["video.example", "*.video.example"]
request_headers_allow = ["accept-language"]
response_headers_deny = ["x-secret", "surrogate-key"]
[services.key]
query = {{ ignore = ["utm"] }}
sort = true
[services.token]
header = "x-token"
file = "{folder}/origin.token"

[[services]]
name = "hosts"
upstream = "{origin}/hosts"
hosts = ["a.example", "b.example"]
key = {{ host = true }}

[[services]]
name = "named"
upstream = "http://localhost.localdomain:{port}"
hosts = ["named.example"]
"""
SECRET = "secret-of-the-origin-1234"


@pytest.fixture(scope="module")
def edge(origin: FaultyOrigin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeProcess]:
    folder = tmp_path_factory.mktemp("services")
    (folder / "origin.token").write_text(SECRET + "\n")
    settings = folder / "edge.toml"
    port = origin.url.rpartition(":")[2]
    settings.write_text(SETTINGS.format(origin=origin.url, folder=folder, port=port))
    with EdgeProcess(
        ["--config", str(settings), "--listen", "127.0.0.1:0", "--set", "prefetch.enabled=false"],
        folder,
    ) as process:
        yield process
    assert SECRET not in process.log()


def last(origin: FaultyOrigin, target: str) -> Exchange:
    return [exchange for exchange in origin.seen if exchange.target == target][-1]


def test_upstream_gets_what_counts_and_nothing_that_could_poison(
    origin: FaultyOrigin, edge: EdgeProcess
) -> None:
    origin.serve("/video/a?b=1&c=2", b"a")
    first = edge.get(
        "/a?c=2&utm=evil&b=1&CMCD=bl%3D1",
        host="cdn.video.example:8081",
        x_forwarded_host="evil.example",
        x_forwarded_scheme="nothttps",
        x_original_url="/admin",
        x_http_method_override="POST",
        accept="text/evil",
        accept_language="de",
        user_agent="evil",
        x_token="evil",
    )
    assert first.body == b"a"
    asked = last(origin, "/video/a?b=1&c=2")
    assert set(asked.headers) <= {
        "host",
        "accept-language",
        "accept-encoding",
        "x-token",
        "connection",
        "via",
        "cdn-loop",
    }
    assert asked.headers["host"] == origin.url.removeprefix("http://")
    assert asked.headers["x-token"] == SECRET
    same = "/a?b=1&c=2&utm=x"
    assert edge.get(same, host="VIDEO.example", accept_language="de", accept="*/*").is_hit
    assert not edge.get(same, host="VIDEO.example", accept_language="fr").is_hit
    assert SECRET not in str(first.headers)


def test_clients_do_not_get_what_is_denied_whichever_way_the_answer_went(
    origin: FaultyOrigin, edge: EdgeProcess
) -> None:
    fields = {"x_secret": "1", "surrogate_key": "a", "x_open": "1"}
    origin.serve("/video/s", b"s", **fields)
    origin.serve("/video/p", b"p", cache_control="no-store", **fields)
    for answer in (
        edge.get("/s", host="video.example"),
        edge.get("/s", host="video.example"),
        edge.get("/p", host="video.example"),
        edge.get("/s", host="video.example", cookie="a=b"),
        edge.request("POST", "/p", b"x", host="video.example"),
    ):
        assert answer.status == 200
        assert answer.headers["x-open"] == "1"
        assert not {"x-secret", "surrogate-key"} & answer.headers.keys()


def test_hosts_are_kept_apart_and_passed_on(origin: FaultyOrigin, edge: EdgeProcess) -> None:
    def route(exchange: Exchange) -> None:
        exchange.reply(exchange.headers["host"].encode(), cache_control="max-age=60")

    origin.routes["/hosts/who"] = route
    for _ in range(2):
        for host in ("a.example", "b.example"):
            assert edge.get("/who", host=host).body == host.encode()
    assert origin.count("/hosts/who") == 2
    assert edge.get("/who", host="c.example").status == 421


def test_redirects_are_the_clients_and_never_followed(
    origin: FaultyOrigin, edge: EdgeProcess
) -> None:
    origin.serve("/video/r", b"", status=302, location="http://127.0.0.1:1/internal")
    answer = edge.get("/r", host="video.example")
    assert (answer.status, answer.headers["location"]) == (302, "http://127.0.0.1:1/internal")


def test_a_name_that_leads_home_is_refused(edge: EdgeProcess) -> None:
    answer = edge.get("/", host="named.example")
    assert answer.status in (502, 503)


def test_secrets_are_in_no_setting(
    origin: FaultyOrigin, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from nearcast.main import main

    (tmp_path / "origin.token").write_text(SECRET)
    settings = tmp_path / "edge.toml"
    settings.write_text(SETTINGS.format(origin=origin.url, folder=tmp_path, port=1))
    assert main(["edge", "--config", str(settings), "--print-config"]) == 0
    text = capsys.readouterr().out
    assert 'services[0].token.header = "x-token"' in text
    assert SECRET not in text
