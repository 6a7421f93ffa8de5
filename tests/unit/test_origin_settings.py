"""What `nearcast origin serve` refuses before it serves anything."""

from __future__ import annotations

import pytest

from nearcast.config import load
from nearcast.errors import ConfigError
from origin.config import ControlConfig, OriginConfig


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("control.fleet_names", '["bad name!"]'),
        ("control.fleet_names", "[]"),
        ("control.admin_names", '["http://h"]'),
        ("control.fleet_url", "http://h:1"),
        ("control.fleet_url", "https://[::1"),
        ("control.fleet_url", "https://u:pw@h"),
        ("control.steering_url", "http://h:99999"),
        ("control.steering_url", "https://h/path"),
        ("control.fleet_listen", "foo"),
        ("control.admin_listen", "127.0.0.1:70000"),
        ("control.admin_listen", "0.0.0.0:8090"),
        ("control.admin_listen", ":8090"),
        ("control.admin_listen", "origin.example:8090"),
        ("control.database", "mysql://u:hunter2@h/db"),
        ("control.database", "hunter2"),
        ("control.plan.interval_s", "25"),
    ],
)
def test_what_cannot_be_is_said_by_its_name(setting: str, value: str) -> None:
    others = ("control.collector=true", "control.plan.spread=4.0", "listen=127.0.0.1:8080")
    with pytest.raises(ConfigError) as caught:
        load(OriginConfig, role="origin", assignments=(f"{setting}={value}", *others))
    assert str(caught.value).startswith(f"{setting} (--set): ")
    assert "hunter2" not in str(caught.value)


def test_what_can_be_is_taken() -> None:
    ControlConfig(
        fleet_names=("origin.example", "10.0.0.1", "::1"),
        fleet_url="https://origin.example:8443",
        steering_url="https://[::1]:8080",
        fleet_listen="0.0.0.0:0",
        admin_listen="[::1]:8090",
        database="postgresql://u:pw@h:5432/db?sslmode=require",
    )
    ControlConfig(database="sqlite:///control.db")


@pytest.mark.parametrize(
    "settings",
    [
        ("control.admin_plain=true",),
        ("control.admin_tls.certificate=c.pem", "control.admin_tls.key=k.pem"),
    ],
)
def test_tokens_may_cross_a_network_when_somebody_has_said_how(settings: tuple[str, ...]) -> None:
    listen = "control.admin_listen=0.0.0.0:8090"
    loaded = load(OriginConfig, role="origin", assignments=(listen, *settings))
    assert loaded.value.control.admin_listen == "0.0.0.0:8090"


def test_a_certificate_without_its_key_is_refused() -> None:
    with pytest.raises(ConfigError, match="set both"):
        load(OriginConfig, role="origin", assignments=("control.admin_tls.certificate=c.pem",))
