"""The admin port: who may do what, and what strangers and other sites' pages get."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from nearcast.enrol_token import read_token
from nearcast.main import main
from tests.fleet_world import ControlOrigin, Reply, empty_library


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlOrigin]:
    library = empty_library(tmp_path_factory.mktemp("admin") / "library")
    with ControlOrigin(library) as running:
        yield running


def token_of(origin: ControlOrigin, name: str, role: str) -> str:
    return str(origin.api("POST", "/tokens", {"name": name, "role": role})["token"])


def test_a_port_that_nobody_asked_for_may_be_taken(tmp_path: Path) -> None:
    with socket.socket() as other:
        # Content goes ten below a port that is taken, where the page would be.
        for _ in range(20):
            with socket.socket() as taken, socket.socket() as below:
                taken.bind(("127.0.0.1", 0))
                port = taken.getsockname()[1] - 10
                with contextlib.suppress(OSError):
                    below.bind(("127.0.0.1", port))
                    break
        other.bind(("127.0.0.1", port + 10))
        other.listen()
        library = empty_library(tmp_path / "library")
        with ControlOrigin(library, listen=f"127.0.0.1:{port}") as origin:
            assert origin.url == f"http://127.0.0.1:{port}"
            assert urlsplit(origin.admin_url).port != port + 10
            assert origin.ask("GET", "/v1/admin/edges").status == 200
            assert any("control.port_taken" in line for line in origin.lines)
        setting = f"control.admin_listen=127.0.0.1:{port + 10}"
        with pytest.raises(AssertionError, match=r"(?s)the origin ended.*control\.admin_listen"):
            ControlOrigin(library, setting)


def test_roles_bound_what_a_token_may_do(origin: ControlOrigin) -> None:
    viewer = token_of(origin, "v1", "viewer")
    operator = token_of(origin, "o1", "operator")
    origin.enrol("role-1")
    duty = "/v1/admin/edges/role-1/duty"
    assert origin.ask("GET", "/v1/admin/edges", token=viewer).status == 200
    assert origin.ask("POST", duty, {"duty": "draining"}, token=viewer).error == "role"
    assert origin.ask("POST", duty, {"duty": "draining"}, token=operator).status == 200
    assert origin.ask("DELETE", "/v1/admin/edges/role-1", token=operator).error == "role"
    assert origin.ask("POST", "/v1/admin/enrolments", {"edge": "x"}, token=operator).status == 403
    assert origin.ask("GET", "/v1/admin/tokens", token=operator).status == 403
    entry = origin.api("GET", "/audit?limit=1")["entries"][0]
    assert (entry["actor"], entry["action"], entry["subject"]) == ("o1", "edge.draining", "role-1")
    assert origin.ask("DELETE", "/v1/admin/tokens/o1").status == 204
    origin.wait_for(
        lambda: origin.ask("POST", duty, {"duty": "active"}, token=operator).status == 401,
        "the end of the token",
    )


def test_no_answer_without_a_token_and_none_to_other_names(origin: ControlOrigin) -> None:
    for path in ("/v1/admin/edges", "/v1/admin/events", "/metrics", "/v1/admin/audit"):
        assert origin.ask("GET", path, token="").status == 401, path
    rebound = origin.ask("GET", "/v1/admin/edges", host="evil.example")
    assert (rebound.status, rebound.error) == (421, "host")
    local = origin.ask("GET", "/v1/admin/edges", host="localhost:1234")
    assert local.status == 200
    assert local.headers["x-frame-options"] == "DENY"
    assert "default-src 'self'" in local.headers["content-security-policy"]
    assert local.headers["cache-control"] == "no-store"


def test_bad_requests_are_told_what_is_wrong(origin: ControlOrigin) -> None:
    cases: list[tuple[str, str, object, int]] = [
        ("POST", "/v1/admin/enrolments", {"edge": "BAD NAME"}, 400),
        ("POST", "/v1/admin/enrolments", {"edge": "a", "valid": 1}, 400),
        ("POST", "/v1/admin/enrolments", b"{", 400),
        ("POST", "/v1/admin/enrolments", b"\xff", 400),
        ("POST", "/v1/admin/enrolments", b" " * 100_000, 413),
        ("POST", "/v1/admin/edges/nobody/duty", {"duty": "active"}, 404),
        ("POST", "/v1/admin/edges/role-1/duty", {"duty": "asleep"}, 400),
        ("GET", "/v1/admin/edges/..%2f..%2fetc", None, 400),
        ("GET", "/v1/admin/edges/nobody", None, 404),
        ("GET", "/v1/admin/fleet/series?window_s=1", None, 400),
        ("GET", "/v1/admin/fleet/series?windo=60", None, 400),
        ("GET", "/v1/admin/steering/explain?client=home", None, 400),
        ("PUT", "/v1/admin/edges", None, 405),
        ("GET", "/v1/admin/nothing", None, 404),
        ("POST", "/v1/admin/tokens", {"name": "admin", "role": "root"}, 400),
        ("GET", "/v1/admin/plans/ffff", None, 404),
        ("GET", "/v1/admin/audit?before_id=9223372036854775808", None, 400),
        ("POST", "/v1/admin/enrolments", {"edge": "x\n"}, 400),
    ]
    for method, path, body, status in cases:
        reply = origin.ask(method, path, body)
        assert reply.status == status, (path, reply.body)
        assert reply.json["detail"]


def test_a_browser_logs_in_and_other_sites_cannot_use_it(origin: ControlOrigin) -> None:
    origin.enrol("cookie-1")
    wrong = origin.ask("POST", "/login", {"token": "nca1.nonsense"}, token="")
    assert wrong.status == 401
    reply = origin.ask(
        "POST", "/login", {"token": origin.token}, token="", content_type="application/json"
    )
    assert reply.status == 200
    field = reply.headers["set-cookie"]
    assert "HttpOnly" in field
    assert "SameSite=Strict" in field
    assert origin.token not in field
    cookie = field.partition(";")[0]
    assert origin.ask("GET", "/v1/admin/whoami", cookie=cookie).json["role"] == "admin"
    duty = ("POST", "/v1/admin/edges/cookie-1/duty", {"duty": "draining"})
    assert origin.ask(*duty, cookie=cookie, origin="http://evil.example").error == "site"
    assert origin.ask(*duty, cookie=cookie, sec_fetch_site="cross-site").error == "site"
    assert origin.ask(*duty, cookie=cookie).error == "site"
    ours = urlsplit(origin.admin_url).netloc
    assert origin.ask(*duty, cookie=cookie, origin=f"http://{ours}", host=ours).status == 200
    assert origin.ask("POST", "/logout", cookie=cookie).status == 204
    assert origin.ask("GET", "/v1/admin/whoami", cookie=cookie).status == 401


def test_events_tell_what_changes_and_what_was_missed(origin: ControlOrigin) -> None:
    edge = origin.enrol("event-1")
    with EventReader(origin) as reader:
        assert reader.next("hello")["id"]
        assert edge.beat().status == 200
        changed = reader.next("edge", "event-1")
        assert json.loads(changed["data"])["row"]["edge"] == "event-1"
        last = changed["id"]
        figures = json.loads(reader.next("figures")["data"])
        assert figures["totals"]["edge_count"] >= 1
    with EventReader(origin, last_event_id=last) as again:
        assert again.any()["id"] != last
    with EventReader(origin, last_event_id="other-5") as other:
        assert other.any()["event"] == "reset"


def test_a_stream_ends_with_its_token(origin: ControlOrigin) -> None:
    token = token_of(origin, "stream-1", "viewer")
    with EventReader(origin, token=token) as reader:
        reader.next("figures")
        assert origin.ask("DELETE", "/v1/admin/tokens/stream-1").status == 204
        assert reader.ends()


def test_guessing_tokens_has_to_wait(tmp_path: Path) -> None:
    with ControlOrigin(empty_library(tmp_path / "library")) as origin:
        replies = [
            origin.ask("GET", "/v1/admin/edges", token=f"nca1.{index}") for index in range(11)
        ]
        assert [reply.status for reply in replies] == [401] * 10 + [429]
        # Others behind the same proxy go on.
        assert origin.ask("GET", "/v1/admin/edges").status == 200
        assert int(replies[-1].headers["retry-after"]) > 0


def test_the_openapi_document_describes_every_route(origin: ControlOrigin) -> None:
    document = origin.ask("GET", "/v1/admin/openapi.json", token="").json
    assert document["openapi"].startswith("3.1")
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert len({one["operationId"] for one in operations}) == len(operations) > 20
    named = set()

    def walk(value: object) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                named.add(value["$ref"].rpartition("/")[2])
            for one in value.values():
                walk(one)
        elif isinstance(value, list):
            for one in value:
                walk(one)

    walk(document)
    assert named <= set(document["components"]["schemas"])


def test_commands_ask_the_running_origin(
    origin: ControlOrigin, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = ["--library", str(origin.library)]
    figures = tmp_path / "fleet.json"
    assert main(["origin", "fleet", "enrol", "shell-1", "--valid", "2h", *found]) == 0
    assert capsys.readouterr().out.startswith("nce1.")
    origin.enrol("shell-2").beat()
    assert main(["origin", "fleet", "maintenance", "shell-2", *found]) == 0
    assert main(["origin", "fleet", "list", "--json", str(figures), *found]) == 0
    text = capsys.readouterr().out
    assert "shell-2" in text
    assert max(len(line) for line in text.splitlines()) <= 80
    (row,) = (one for one in json.loads(figures.read_text())["edges"] if one["edge"] == "shell-2")
    assert row["duty"] == "maintenance"
    for bad in (["drain", "nobody"], ["enrol", "A B"], ["enrol", "x-1", "--valid", "long"]):
        assert main(["origin", "fleet", *bad, *found]) == 2
        assert "nearcast origin: " in capsys.readouterr().err
    assert main(["origin", "fleet", "list", "--library", str(tmp_path)]) == 2
    assert "--library" in capsys.readouterr().err


def set_profile(origin: ControlOrigin, edge: str, *options: str) -> int:
    return main(["origin", "fleet", "set", edge, "--library", str(origin.library), *options])


def test_an_edge_that_moves_is_told_at_the_origin(
    origin: ControlOrigin, capsys: pytest.CaptureFixture[str]
) -> None:
    edge = origin.enrol("moves-1", region="eu", networks=("192.0.2.0/24",), utc_offset_h=1.0)
    moved = "http://192.0.2.9:8081"
    assert set_profile(origin, "moves-1", "--url", moved, "--time-zone", "Asia/Kathmandu") == 0
    assert "clocks Asia/Kathmandu" in capsys.readouterr().out
    row = origin.edge("moves-1")
    assert (row["url"], row["time_zone"]) == (moved, "Asia/Kathmandu")
    profile = origin.api("GET", "/edges/moves-1")["edge"]["profile"]
    assert (profile["time_zone"], profile["utc_offset_h"]) == ("Asia/Kathmandu", 5.75)
    assert (profile["region"], profile["networks"]) == ("eu", ["192.0.2.0/24"])
    assert edge.beat().status == 200  # with the certificate it has


def test_a_url_that_another_edge_has_is_refused(
    origin: ControlOrigin, capsys: pytest.CaptureFixture[str]
) -> None:
    origin.enrol("twin-1", url="http://192.0.2.7:8081")
    origin.enrol("twin-2")
    assert set_profile(origin, "twin-2", "--url", "http://192.0.2.7:8081") == 2
    assert "twin-1 has the URL" in " ".join(capsys.readouterr().err.split())
    token = read_token(origin.api("POST", "/enrolments", {"edge": "twin-3"})["token"])
    reply = origin.stranger("twin-3", token, url="http://192.0.2.7:8081").enrol()
    assert (reply.status, reply.error) == (409, "duplicate")
    assert origin.stranger("twin-3", token, url="http://192.0.2.7:8082").enrol().status == 200


def test_an_offset_takes_the_place_of_a_zone_and_the_audit_has_both(origin: ControlOrigin) -> None:
    origin.enrol("moves-2", time_zone="Asia/Kathmandu", networks=("192.0.2.0/24",))
    assert set_profile(origin, "moves-2", "--network", "2001:db8::/32", "--utc-offset", "2") == 0
    profile = origin.api("GET", "/edges/moves-2")["edge"]["profile"]
    assert (profile["time_zone"], profile["utc_offset_h"]) == ("", 2.0)
    assert profile["networks"] == ["2001:db8::/32"]
    entry = origin.api("GET", "/audit?limit=1")["entries"][0]
    assert (entry["action"], entry["subject"]) == ("edge.profile", "moves-2")
    assert json.loads(entry["before"])["profile"]["time_zone"] == "Asia/Kathmandu"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ([], "say what"),
        (["--time-zone", "Asia/Tokio"], "such as Asia/Tokyo"),
        (["--time-zone", "Asia/Tokyo", "--utc-offset", "9"], "exclude each other"),
        (["--network", "192.0.2.0/33"], "192.0.2.0/33"),
        (["--network", "192.0.2.7/24"], "192.0.2.7/24"),
        (["--url", "http://user@host:1"], "http://HOST:PORT"),
        (["--link-kbps", "0"], "link_kbps"),
    ],
)
def test_a_profile_that_cannot_be_is_refused(
    origin: ControlOrigin, options: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert set_profile(origin, "nobody-1", *options) == 2
    assert why in capsys.readouterr().err


def test_only_an_admin_changes_a_profile_of_an_edge_that_is_there(origin: ControlOrigin) -> None:
    operator = token_of(origin, "o2", "operator")
    path = "/v1/admin/edges/nobody-1/profile"
    assert origin.ask("POST", path, {"region": "us"}, token=operator).error == "role"
    assert origin.ask("POST", path, {"region": "us"}).status == 404


class EventReader:
    def __init__(self, origin: ControlOrigin, *, last_event_id: str = "", token: str = "") -> None:
        place = urlsplit(origin.admin_url)
        headers = {
            "authorization": f"Bearer {token or origin.token}",
            "last-event-id": last_event_id,
        }
        self._connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=20)
        self._connection.request("GET", "/v1/admin/events", headers=headers)
        self._response = self._connection.getresponse()
        assert self._response.status == 200

    def __enter__(self) -> EventReader:
        return self

    def __exit__(self, *unused: object) -> None:
        self._response.close()
        self._connection.close()

    def any(self) -> dict[str, str]:
        fields: dict[str, str] = {}
        while True:
            line = self._response.readline().decode().rstrip("\n")
            if not line and "event" in fields:
                return fields
            name, colon, value = line.partition(": ")
            if colon and name:
                fields[name] = value

    def ends(self) -> bool:
        """Before long."""
        return any(not self._response.readline() for _ in range(400))

    def next(self, kind: str, edge: str = "") -> dict[str, str]:
        for _ in range(200):
            found = self.any()
            if found["event"] == kind and (not edge or json.loads(found["data"])["edge"] == edge):
                return found
        raise AssertionError(f"no event {kind}")


def test_a_slow_head_and_a_flood_of_connections_are_bounded(origin: ControlOrigin) -> None:
    place = urlsplit(origin.admin_url)
    ends = [socket.create_connection((place.hostname, place.port), 20) for _ in range(50)]
    try:
        for end in ends:
            end.sendall(b"GET /v1/admin/edges HTTP/1.1\r\nhost: 127.0.0.1\r\nx: ")
        reply: Reply = origin.ask("GET", "/v1/admin/whoami")
        assert reply.status == 200
        ends[0].sendall(b"y" * 20_000)
        assert b"400" in ends[0].recv(1000)
        assert not any("Traceback" in line for line in origin.lines)
    finally:
        for end in ends:
            end.close()
