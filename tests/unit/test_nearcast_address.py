"""HOST:PORT as options and settings take it."""

import pytest

from nearcast.address import LOOPBACK, parse_address
from nearcast.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("edge.example:65535", ("edge.example", 65535)),
        ("[::1]:0", ("::1", 0)),
        (":9", ("0.0.0.0", 9)),
    ],
)
def test_host_and_port(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text, "--listen") == address


def test_who_asks_says_what_no_host_means() -> None:
    assert parse_address(":80", "to", host_default=LOOPBACK) == ("127.0.0.1", 80)


@pytest.mark.parametrize(
    "text", ["", "host", "host:", "host:http", "host:70000", "host:-1", "host:²", "h:" + "9" * 5000]
)
def test_anything_else_is_refused_by_the_name_of_its_option(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--admin .*HOST:PORT"):
        parse_address(text, "--admin")
