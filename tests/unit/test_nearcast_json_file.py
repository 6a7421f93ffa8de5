"""`--json FILE`: what is written, and what is refused before and after the work."""

import json
from pathlib import Path

import msgspec
import pytest

from nearcast.errors import InputError
from nearcast.json_file import check_json_file, write_json


class Row(msgspec.Struct):
    name: str
    share: float | None


def test_structs_are_written_as_one_indented_object(tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    write_json(file, {"rows": [Row("a", 0.5), Row("b", None)]})
    text = file.read_text()
    assert json.loads(text) == {"rows": [{"name": "a", "share": 0.5}, {"name": "b", "share": None}]}
    assert text.startswith('{\n  "rows"')
    assert text.endswith("}\n")


def test_no_file_is_no_work() -> None:
    check_json_file(None)
    write_json(None, object())  # would not encode


def test_checking_makes_no_file(tmp_path: Path) -> None:
    check_json_file(tmp_path / "later.json")
    assert not tuple(tmp_path.iterdir())


def test_a_dash_is_no_file() -> None:
    for refuse in (check_json_file, lambda file: write_json(file, {})):
        with pytest.raises(InputError, match=r"cannot write to -: .* name a file"):
            refuse(Path("-"))
    assert not Path("-").exists()


@pytest.mark.parametrize("name", ["missing/out.json", "."])
def test_what_cannot_be_written_is_named_before_and_after(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    for refuse in (check_json_file, lambda file: write_json(file, {})):
        with pytest.raises(InputError, match="cannot write") as found:
            refuse(file)
        assert str(file) in str(found.value)
