"""Every route of the admin API and of the fleet port, with what no client of ours would send: an
answer each time, never a 5xx, and nothing broken in the log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

import pytest

from nearcast import fleet
from tests.fleet_world import ControlOrigin, SaidEdge, empty_library

TEXTS: Final = (
    "", " ", "\0", "x\0y", "\n", "x\n", "..", "'; --", "%", "_", "\N{COLLISION SYMBOL}", "\ud800",
    "a" * 300, "current",
)  # fmt: skip
NUMBERS: Final = ("-1", "0", "1.5", "1e308", "-1e400", "nan", "inf", str(2**63), str(2**64), "x")
BODIES: Final = (
    b"", b"null", b"[]", b"7", b"{", b'"', b"\xff\xfe", b"[" * 5_000, b'{"a":' * 5_000, b"{}",
    b'{"edge":1e999}', b'{"unknown":null}',
)  # fmt: skip
VALUES: Final[tuple[Any, ...]] = (
    *TEXTS, None, True, -1, 0, 2**63, 2**64, 10**400, 1.5, 1e308, float("nan"), float("inf"), [],
    [[]], {}, {"a": {}},
)  # fmt: skip


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def origin(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlOrigin]:
    settings = ["control.plan.enabled=false"]
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres_server")
        settings.append(f"control.database={server.url(server.create_database())}")
    library = empty_library(tmp_path_factory.mktemp("sweep") / "library")
    with ControlOrigin(library, *settings) as running:
        yield running


def part(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


def whole(broken: list[object], origin: ControlOrigin) -> None:
    assert not broken, "\n".join(str(one)[:300] for one in broken)
    assert [line for line in origin.lines if "Traceback" in line or "broken" in line] == []


def test_no_route_of_the_admin_api_fails_at_what_it_is_sent(origin: ControlOrigin) -> None:
    origin.enrol("edge-1").beat()
    document = origin.api("GET", "/openapi.json")
    schemas = document["components"]["schemas"]
    broken: list[object] = []

    def send(method: str, path: str, body: bytes | None = None) -> None:
        reply = origin.ask(method, path, body)
        if reply.status >= 500:
            broken.append((method, path, body, reply.status, reply.body))

    for template, operations in document["paths"].items():
        for method, operation in operations.items():
            named = [one for one in operation.get("parameters", ()) if one["in"] == "path"]
            asked = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"]
            bodies: list[bytes | None] = [None]
            if "requestBody" in operation:
                schema = operation["requestBody"]["content"]["application/json"]["schema"]
                bodies = [*BODIES, *bodies_of(schemas[schema["$ref"].rpartition("/")[2]])]
            if named:
                for text in TEXTS[1:]:
                    send(method.upper(), filled(template, named, part(text)), bodies[0])
            if method == "post" and template.endswith("/plans"):
                continue  # takes nothing, and makes a plan each time
            path = filled(template, named, "edge-1")
            for body in bodies:
                send(method.upper(), path, body)
            for name in asked:
                for value in (*NUMBERS, *(part(text) for text in TEXTS), "%FF", "%"):
                    send(method.upper(), f"{path}?{name}={value}")
            send(method.upper(), f"{path}?{'&'.join('a=b' for _ in range(40))}")
    whole(broken, origin)


def filled(template: str, named: list[dict[str, Any]], text: str) -> str:
    for one in named:
        template = template.replace("{" + one["name"] + "}", text)
    return template


def bodies_of(schema: dict[str, Any]) -> list[bytes]:
    """Good ones but for a field, which has each of the values in turn."""
    good = {"edge": "swept", "name": "swept", "duty": "active"}
    start = {name: good[name] for name in schema["properties"] if name in good}
    return [
        json.dumps({**start, name: value}).encode()
        for name in schema["properties"]
        for value in VALUES
    ]


def test_no_path_of_the_fleet_port_fails_at_what_it_is_sent(origin: ControlOrigin) -> None:
    edge = origin.enrol("edge-2")
    broken: list[object] = []

    def send(method: str, path: str, body: bytes | None = None) -> None:
        reply = edge.request(method, path, body)
        if reply.status >= 500:
            broken.append((method, path, body, reply.status, reply.body))

    starts: dict[str, dict[str, Any]] = {
        fleet.HEARTBEAT_PATH: edge.heartbeat(),
        fleet.OBSERVATIONS_PATH: {
            "edge": "edge-2",
            "boot_id": edge.boot_id,
            "sequence_no": 1,
            "seen": [{"edge": "edge-1", "is_up": True}],
        },
        fleet.RENEW_PATH: {"csr_pem": ""},
        fleet.ENROL_PATH: enrolment(edge),
    }
    for path, start in starts.items():
        for body in BODIES:
            send("POST", path, body)
        for name in start:
            for value in VALUES:
                send("POST", path, json.dumps({**start, name: value}).encode())
    for name in ("url", "cluster", "networks", "capacity_bytes", "link_kbps", "utc_offset_h"):
        for value in VALUES:
            asked = enrolment(edge)
            asked["profile"][name] = value
            send("POST", fleet.ENROL_PATH, json.dumps(asked).encode())
    for name in ("boot", "segment", "offset", "first"):
        for value in (*NUMBERS, *(part(text) for text in TEXTS)):
            query = {"boot": "0" * 16, "segment": "1", "offset": "0", "first": "0", name: value}
            text = "&".join(f"{key}={given}" for key, given in query.items())
            send("POST", f"{fleet.TELEMETRY_PATH}?{text}", b'{"e":"noted","what":"x"}\n')
    for path in (fleet.PLAN_PATH, "/", "/v1/fleet/%00", "/v1/fleet/authority?x=\xff"):
        send("GET", quote(path, safe="/?=%"))
    whole(broken, origin)


def enrolment(edge: SaidEdge) -> dict[str, Any]:
    return {
        "token": "x" * 43,
        "edge": "swept",
        "csr_pem": edge.csr_pem(),
        "profile": {"url": "http://192.0.2.1:80", "capacity_bytes": 1},
    }
