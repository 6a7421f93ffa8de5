"""The line an operator carries to a new edge."""

import pytest

from nearcast.enrol_token import EnrolTokenText, read_token, write_token
from nearcast.errors import InputError

TOKEN = EnrolTokenText(
    origins=("https://origin.example:8100",), fingerprint="ab" * 32, secret="s" * 43, edge="ams-1"
)


def test_what_was_written_is_read() -> None:
    assert read_token(f" {write_token(TOKEN)}\n") == TOKEN


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "nce1.",
        "nce1.!!!!",
        write_token(TOKEN)[:-9],
        "nce1.e30",
        "nce2." + write_token(TOKEN)[5:],
        "nce1." + "A" * 9000,
        "nce1.\u00e9",
    ],
)
def test_a_damaged_line_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(InputError) as caught:
        read_token(text)
    assert len(text) < 12 or text[5:] not in str(caught.value)


def test_its_secret_is_not_shown() -> None:
    assert TOKEN.secret not in repr(TOKEN)
