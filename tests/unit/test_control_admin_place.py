from __future__ import annotations

from pathlib import Path

import pytest

from nearcast.errors import InputError
from origin.drivers.control.admin_place import AdminPlace, read_place, write_place


def test_what_was_written_is_found_and_replaces_the_file_of_before(tmp_path: Path) -> None:
    (tmp_path / "admin.url").write_text("http://127.0.0.1:1\n")
    place = AdminPlace(url="https://127.0.0.1:9", certificate="/etc/tls/two words.pem")
    write_place(tmp_path, place)
    assert read_place(tmp_path) == place
    assert not (tmp_path / "admin.url").exists()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("http://127.0.0.1:8090\n", AdminPlace(url="http://127.0.0.1:8090")),
        ("http://127.0.0.1:8090\n\n", AdminPlace(url="http://127.0.0.1:8090")),
        (
            "https://127.0.0.1:8090\n/etc/tls/chain.pem\n",
            AdminPlace(url="https://127.0.0.1:8090", certificate="/etc/tls/chain.pem"),
        ),
    ],
)
def test_the_file_of_versions_before_is_read(tmp_path: Path, text: str, place: AdminPlace) -> None:
    (tmp_path / "admin.url").write_text(text)
    assert read_place(tmp_path) == place


def test_what_a_later_version_says_besides_is_let_be(tmp_path: Path) -> None:
    (tmp_path / "admin.json").write_text('{"url": "http://127.0.0.1:1", "since": 4}')
    assert read_place(tmp_path).url == "http://127.0.0.1:1"


def test_a_folder_without_an_origin_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no origin has run on .*--library"):
        read_place(tmp_path)


def test_a_file_of_no_use_is_named(tmp_path: Path) -> None:
    (tmp_path / "admin.json").write_text('{"certificate": ""}')
    with pytest.raises(InputError, match=r"admin\.json does not say .*start the origin again"):
        read_place(tmp_path)
