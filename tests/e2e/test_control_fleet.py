"""The fleet port of a real origin: who is let in, and what is refused."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nearcast import fleet
from nearcast.enrol_token import read_token
from origin.control.authority import Authority
from tests.fleet_world import ControlOrigin, empty_library


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlOrigin]:
    """One for all tests here: each enrols edges of its own."""
    library = empty_library(tmp_path_factory.mktemp("control") / "library")
    with ControlOrigin(library) as running:
        yield running


def refused_count(origin: ControlOrigin, reason: str) -> int:
    return int(origin.api("GET", "/fleet")["refused"].get(reason, 0))


def test_an_edge_enrols_once_and_is_seen(origin: ControlOrigin) -> None:
    edge = origin.enrol("ams-1", cluster="ams", region="eu")
    assert origin.edge("ams-1")["state"] == "unknown"
    reply = edge.beat()
    assert reply.status == 200, reply.body
    assert reply.json["wall_s"] == pytest.approx(time.time(), abs=5)
    assert reply.json["origins"] == [origin.fleet_url]
    origin.wait_for(lambda: origin.edge("ams-1")["state"] == "alive", "alive")
    row = origin.edge("ams-1")
    assert (row["cluster"], row["used_bytes"]) == ("ams", 10**11)
    again = edge.enrol()
    assert (again.status, again.error) == (409, "duplicate")
    actions = [(one["action"], one["subject"]) for one in origin.api("GET", "/audit")["entries"]]
    assert ("edge.enrolled", "ams-1") in actions
    assert ("enrol.refused", "ams-1") in actions


def test_a_token_is_good_once_and_for_one_name(origin: ControlOrigin) -> None:
    token = read_token(origin.api("POST", "/enrolments", {"edge": "once-1"})["token"])
    other = origin.stranger("once-2", token)
    reply = other.enrol()
    assert (reply.status, reply.error) == (403, "bad_token")
    bad = origin.stranger("once-1", token)
    reply = bad.enrol(csr_pem="nonsense")
    assert (reply.status, reply.error) == (400, "bad_request")
    slip = origin.stranger("once-1", token, networks=("192.0.2.7/24",))
    reply = slip.enrol()
    assert (reply.status, reply.error) == (400, "bad_request")
    ugly = origin.stranger("once-1", token, region="\x1b[31mred")
    reply = ugly.enrol()
    assert (reply.status, reply.error) == (400, "bad_request")
    good = origin.stranger("once-1", token)
    assert good.enrol().status == 200
    origin.ask("DELETE", "/v1/admin/edges/once-1")
    late = origin.stranger("once-1", token)
    reply = late.enrol()
    assert (reply.status, reply.error) == (403, "bad_token")


def test_without_a_good_certificate_nothing_is_heard(origin: ControlOrigin) -> None:
    edge = origin.enrol("cert-1")
    nobody = origin.stranger("cert-1")
    reply = nobody.beat()
    assert (reply.status, reply.error) == (403, "unknown_edge")
    authority = Authority.make(time.time())
    forged = origin.stranger("cert-1")
    made = authority.edge_certificate("cert-1", forged.csr_pem(), time.time())
    forged.use(made.certificate_pem)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        forged.beat()
    assert edge.beat().status == 200


def test_messages_of_a_strange_kind_are_refused_and_counted(origin: ControlOrigin) -> None:
    edge = origin.enrol("odd-1")
    assert edge.beat().status == 200
    before = refused_count(origin, "forged")
    reply = edge.beat(edge="ams-9")
    assert (reply.status, reply.error) == (403, "forged")
    assert refused_count(origin, "forged") == before + 1
    reply = edge.beat(sequence_no=1)
    assert (reply.status, reply.error) == (409, "replayed")
    reply = edge.beat(sent_wall_s=time.time() - 600)
    assert (reply.status, reply.error) == (409, "clock")
    for body in (b"", b"[]", b"{", b"\xff\xfe", b'{"edge":' * 1000):
        reply = edge.post(fleet.HEARTBEAT_PATH, body)
        assert (reply.status, reply.error) == (400, "bad_request"), body[:20]
    reply = edge.request("GET", "/v1/fleet/nothing")
    assert (reply.status, reply.error) == (404, "not_found")
    reply = edge.request("GET", fleet.PLAN_PATH)
    assert (reply.status, reply.error) == (404, "not_found")
    assert edge.beat().status == 200


def test_a_body_too_large_ends_the_connection(origin: ControlOrigin) -> None:
    edge = origin.enrol("big-1")
    reply = edge.post(fleet.HEARTBEAT_PATH, b" " * (fleet.BODY_BYTES_MAX + 1))
    assert (reply.status, reply.error) == (413, "too_large")
    chunks = iter([b" " * 65_536] * 8)
    connection = edge.connection()
    try:
        connection.request("POST", fleet.HEARTBEAT_PATH, chunks, encode_chunked=True)
        assert connection.getresponse().status == 413
    except ConnectionError:
        pass  # closed while we were still sending: as good
    edge.close()
    assert edge.beat().status == 200


def test_a_revoked_edge_may_be_forgotten(origin: ControlOrigin) -> None:
    edge = origin.enrol("past-1")
    assert edge.beat().status == 200
    path = "/v1/admin/edges/past-1/record"
    refused = origin.ask("DELETE", path)
    assert (refused.status, refused.error) == (409, "not_revoked")
    origin.api("DELETE", "/edges/past-1")
    assert origin.ask("DELETE", path).status == 204
    origin.wait_for(lambda: "past-1" not in {row["edge"] for row in origin.rows()}, "gone")
    assert origin.ask("DELETE", path).status == 404
    assert edge.beat().error == "unknown_edge"
    assert origin.api("GET", "/audit")["entries"][0]["action"] == "edge.removed"
    origin.enrol("past-1")


def test_a_revoked_edge_is_out_at_once_and_may_come_back(origin: ControlOrigin) -> None:
    edge = origin.enrol("gone-1")
    assert edge.beat().status == 200
    assert origin.api("DELETE", "/edges/gone-1")["is_revoked"] is True
    reply = edge.beat()
    assert (reply.status, reply.error) == (403, "revoked")
    again = origin.enrol("gone-1")
    assert again.beat().status == 200
    reply = edge.beat()
    assert (reply.status, reply.error) == (403, "revoked")


def test_a_renewed_certificate_and_the_one_before_are_good(origin: ControlOrigin) -> None:
    edge = origin.enrol("renew-1")
    old = edge.certificate_pem
    reply = edge.post(fleet.RENEW_PATH, {"csr_pem": edge.csr_pem()})
    assert reply.status == 200, reply.body
    assert edge.beat().status == 200, "the answer might have been lost"
    edge.use(reply.json["certificate_pem"])
    assert edge.beat().status == 200
    # Answers may be lost again and again: what was shown stays good.
    for _ in range(2):
        second = edge.post(fleet.RENEW_PATH, {"csr_pem": edge.csr_pem()})
        assert second.status == 200
    assert edge.beat().status == 200
    edge.use(old)
    assert edge.beat().error == "revoked"


def test_a_slow_or_silent_stranger_is_let_go(tmp_path: Path) -> None:
    """Many of them take no more than their number of connections."""
    library = empty_library(tmp_path / "library")
    with ControlOrigin(library, "control.connections_max=4") as origin:
        host, _, port = origin.fleet_url.removeprefix("https://").rpartition(":")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        strangers = [silent(context, host, int(port)) for _ in range(4)]
        strangers.append(context.wrap_socket(socket.create_connection((host, int(port)), 20)))
        try:
            assert is_closed(strangers.pop())
            strangers.pop().close()
            origin.wait_for(lambda: gets_in(origin), "room")
        finally:
            for end in strangers:
                end.close()


def silent(context: ssl.SSLContext, host: str, port: int) -> ssl.SSLSocket:
    """A client that began a request and says no more."""
    end = context.wrap_socket(socket.create_connection((host, port), timeout=20))
    end.sendall(b"POST /v1/fleet/enrol HTTP/1.1\r\nhost: x\r\n")
    return end


def is_closed(end: ssl.SSLSocket) -> bool:
    """By the other side, before long."""
    with end:
        try:
            return end.recv(100) == b""
        except (ssl.SSLError, ConnectionError):
            return True


def gets_in(origin: ControlOrigin) -> bool:
    """Whether there is room for one more connection."""
    try:
        return origin.stranger("x-1").beat().status == 403
    except (ssl.SSLError, OSError, http.client.HTTPException):
        return False


@pytest.mark.parametrize(
    "url",
    ["http://[::1", "http://h:99999", "http://:80", "http://a@b:80", 'http://x"><b>', "http://h:0"],
)
def test_a_url_that_leads_nowhere_is_refused(origin: ControlOrigin, url: str) -> None:
    token = read_token(origin.api("POST", "/enrolments", {"edge": "url-1"})["token"])
    reply = origin.stranger("url-1", token, url=url).enrol()
    assert (reply.status, reply.error) == (400, "bad_request")
