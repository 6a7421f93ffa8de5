"""TLS on the admin port: who trusts it, what a browser keeps, and certificates that are renewed."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import ssl
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from nearcast.errors import ConfigError, InputError
from origin.commands.asking import Place, client
from origin.control.api import FleetTotals
from origin.drivers.control.admin.access_routes import new_token
from tests.certificates import Authority, Pair, needs_openssl
from tests.fleet_world import LIMIT_S, ControlOrigin, empty_library

pytestmark = needs_openssl


def settings(pair: Pair) -> tuple[str, str]:
    return (
        f"control.admin_tls.certificate={pair.certificate}",
        f"control.admin_tls.key={pair.key}",
    )


def shown(origin: ControlOrigin) -> bytes:
    """The certificate of the admin port, as a new connection sees it."""
    place = urlsplit(origin.admin_url)
    assert place.hostname is not None
    assert place.port is not None
    pem = ssl.get_server_certificate((place.hostname, place.port), timeout=LIMIT_S)
    return ssl.PEM_cert_to_DER_cert(pem)


def at(origin: ControlOrigin, ca: Path | None) -> Place:
    return Place(admin=origin.admin_url, token_file=origin.token_file, ca=ca)


def der(file: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(file.read_text())


def test_who_trusts_the_admin_port(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    library = empty_library(tmp_path / "library")
    with ControlOrigin(library, *settings(authority.sign("127.0.0.1"))) as origin:
        # On this machine by the origin's folder alone; elsewhere by who signed it.
        assert client(Place(library=library)).get("/fleet", FleetTotals).edge_count == 0
        by_authority = client(at(origin, authority.file))
        assert by_authority.get("/fleet", FleetTotals).edge_count == 0
        for ca in (None, stranger.file):
            with pytest.raises(InputError, match="--ca FILE"):
                client(at(origin, ca)).get("/fleet", FleetTotals)
        plain = Place(
            admin=origin.admin_url.replace("https:", "http:"), token_file=origin.token_file
        )
        with pytest.raises(InputError, match="http or https"):
            client(plain).get("/fleet", FleetTotals)

        # A browser's session stays on TLS.
        place = urlsplit(origin.admin_url)
        context = ssl.create_default_context(cafile=authority.file)
        connection = http.client.HTTPSConnection(
            place.hostname or "", place.port, timeout=LIMIT_S, context=context
        )
        connection.request("POST", "/login", json.dumps({"token": origin.token}))
        assert "; Secure" in (connection.getresponse().getheader("set-cookie") or "")
        connection.close()


def test_a_renewed_certificate_is_shown_once_its_pair_is_whole(tmp_path: Path) -> None:
    pair = Authority(tmp_path, "ours").sign("127.0.0.1")
    other = Authority(tmp_path, "theirs").sign("origin.example")
    library = empty_library(tmp_path / "library")
    with ControlOrigin(library, *settings(pair)) as origin:
        shutil.copy(other.certificate, pair.certificate)
        origin.process.send_signal(signal.SIGHUP)
        origin.wait_for(lambda: any("tls.not_loaded" in line for line in origin.lines), "a word")
        assert shown(origin) != der(other.certificate)
        shutil.copy(other.key, pair.key)
        origin.process.send_signal(signal.SIGHUP)
        origin.wait_for(lambda: shown(origin) == der(other.certificate), "the new one")
        # Whose name it is does not matter to who reads the origin's own folder.
        assert client(Place(library=library)).get("/fleet", FleetTotals).edge_count == 0


def test_a_certificate_that_is_not_there_ends_the_start(tmp_path: Path) -> None:
    file = tmp_path / "none.pem"
    library = empty_library(tmp_path / "library")
    given = [f"--set={each}" for each in settings(Pair(certificate=file, key=file))]
    command = [sys.executable, "-m", "nearcast", "origin", "serve", "--listen=127.0.0.1:0"]
    ended = subprocess.run(
        [*command, f"--library={library}", *given],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert ended.returncode == 2
    assert "control.admin_tls.certificate" in ended.stderr
    assert "none.pem" in ended.stderr
    assert "ready" not in ended.stdout


def test_an_authority_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "admin.token").write_text(new_token())
    place = Place(
        admin="https://127.0.0.1:1",
        token_file=tmp_path / "admin.token",
        ca=tmp_path / "none.pem",
    )
    with pytest.raises(ConfigError, match="cannot read certificates"):
        client(place)
