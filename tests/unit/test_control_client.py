"""What a command says of an origin that does not answer."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from nearcast.errors import ConfigError, InputError
from origin.control.api import PlanRow
from origin.drivers.control.client import AdminClient
from origin.drivers.control.token_file import made_or_read


def test_an_origin_that_is_slow_is_not_said_to_be_away(tmp_path: Path) -> None:
    token = tmp_path / "admin.token"
    made_or_read(token)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = AdminClient(f"http://127.0.0.1:{silent.getsockname()[1]}", token)
        with pytest.raises(InputError, match=r"did not answer within 0\.01 s"):
            client.post("/plans", {}, PlanRow, answer_s=0.01)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:99999", "http://[::1", "http://127.0.0.1:x", "http://u@h:1", "ftp://h",
        "https://h:1?x=y", "https://h:1#x", "127.0.0.1:8090",
    ],
)  # fmt: skip
def test_an_admin_port_that_cannot_be_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="https://HOST:PORT"):
        AdminClient(url, tmp_path / "none")


@pytest.mark.parametrize(
    ("url", "is_told"),
    [
        ("http://origin.example:8090", True),
        ("http://127.0.0.1:8090", False),
        ("http://[::1]:8090/behind/a/proxy", False),
        ("https://origin.example:8090", False),
    ],
)
def test_a_token_that_goes_over_the_network_in_clear_is_told(
    url: str, is_told: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made_or_read(tmp_path / "admin.token")
    AdminClient(url, tmp_path / "admin.token")
    assert [one.levelname for one in caplog.records] == ["WARNING"] * is_told
