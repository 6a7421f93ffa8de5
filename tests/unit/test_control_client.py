"""What a command says of an origin that does not answer."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from nearcast.errors import InputError
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
