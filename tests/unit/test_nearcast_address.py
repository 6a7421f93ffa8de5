"""HOST:PORT as options and settings take it."""

import pytest

from nearcast.address import (
    LOOPBACK,
    is_host,
    is_loopback,
    is_site,
    network,
    parse_address,
    place_of,
)
from nearcast.errors import ConfigError, InputError


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


@pytest.mark.parametrize(
    "url",
    ["http://h", "https://h.example:8443", "http://[::1]:80", "https://10.0.0.1:1", "http://a_b"],
)
def test_a_site_is_scheme_host_and_port(url: str) -> None:
    assert is_site(url, "http", "https")


@pytest.mark.parametrize(
    "url",
    [
        *("", "h", "ftp://h", "http://", "http://[::1", "http://h:99999", "http://h:0"),
        *("http://u:pw@h", "http://h/path", "http://h?q", 'http://h"', "http://x><y", "http://h\n"),
        *("HTTP://h/", "http://-h", "http://h h"),
    ],
)
def test_what_is_more_or_less_is_no_site(url: str) -> None:
    assert not is_site(url, "http", "https")


def test_names_of_hosts() -> None:
    assert all(map(is_host, ("localhost", "127.0.0.1", "::1", "fe80::1%eth0", "a-b.example")))
    assert not any(map(is_host, ("", "bad name!", "[::1]", '["x"]', "a/b", "::g", "x:1", "a\n")))


@pytest.mark.parametrize("text", ["192.0.2.0/24", "2001:db8::/32", "192.0.2.7/32"])
def test_a_network_is_a_block(text: str) -> None:
    assert str(network(text)) == text


@pytest.mark.parametrize("text", ["", "home", "192.0.2.7/24", "192.0.2.0/33", " 192.0.2.0/24"])
def test_what_is_no_network_is_named(text: str) -> None:
    with pytest.raises(InputError, match=f"^network '{text}': "):
        network(text)


@pytest.mark.parametrize(
    ("host", "is_own"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("192.0.2.1", False),
        ("::ffff:192.0.2.1", False),
        (None, False),
    ],
)
def test_loopback_is_this_machine_alone(host: str | None, is_own: bool) -> None:
    assert is_loopback(host) is is_own


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://ams-1.example", ("ams-1.example", 80)),
        ("http://AMS-1.example.:80", ("ams-1.example", 80)),
        ("https://ams-1.example", ("ams-1.example", 443)),
        ("https://[2001:DB8:0::1]:8443", ("2001:db8::1", 8443)),
        ("http://h:99999", ("http://h:99999", 0)),
    ],
)
def test_a_site_is_at_one_place_however_it_is_written(url: str, place: tuple[str, int]) -> None:
    assert place_of(url) == place
