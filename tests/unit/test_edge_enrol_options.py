"""`nearcast edge enrol` says what is wrong with a profile before it uses the token."""

from pathlib import Path

import pytest

from nearcast.enrol_token import EnrolTokenText, write_token
from nearcast.main import main

TOKEN = write_token(
    EnrolTokenText(
        origins=("https://127.0.0.1:9",), fingerprint="0" * 64, secret="s" * 16, edge="e1"
    )
)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--time-zone", "Europe/Berln"), "such as Europe/Berlin"),
        (("--time-zone", "Europe/Berlin", "--utc-offset", "0"), "exclude each other"),
        (("--utc-offset", "15"), "utc_offset_h"),
        (("--network", "192.0.2.7/24"), "192.0.2.7/24"),
    ],
)
def test_enrolling_refuses_what_cannot_be(
    options: tuple[str, ...], why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["edge", "enrol", TOKEN, "--store", str(tmp_path), "--url", "http://e1:80"]
    assert main([*given, *options]) == 2
    assert why in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
