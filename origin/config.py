"""The origin's settings (see nearcast.config for the layers they come from)."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Final

import msgspec

from nearcast.address import is_host, is_loopback, is_site, parse_address
from nearcast.config import Section
from nearcast.errors import ConfigError
from nearcast.nats_login import check_nats_url
from origin.control.plan_times import REPLAN_S
from origin.library import FreshnessConfig
from origin.placement.windows import parse_window

Positive = Annotated[float, msgspec.Meta(gt=0)]
Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
DATABASE_SCHEMES: Final = ("sqlite", "postgresql", "postgres", "postgresql+asyncpg")


class LimitsConfig(Section, frozen=True):
    """What one client may ask for. `header_bytes` bounds a request line and each field."""

    header_bytes: Annotated[int, msgspec.Meta(ge=1024, le=1_000_000)] = 8192
    idle_s: Annotated[float, msgspec.Meta(gt=0)] = 75.0
    # A client that reads this slowly holds a file open and a task; then its connection is closed.
    send_s: Annotated[float, msgspec.Meta(gt=0)] = 60.0


class PlanConfig(Section, frozen=True):
    """How placement plans are made.

    Attributes:
        enabled: Make them by the clock; off: only when told to.
        apply: Put a plan that was made by the clock in force without waiting for anybody.
        interval_s: A new one so often; no less than the five minutes that the clock leaves between
            two.
        valid_s: How long an edge that hears nothing more follows one.
        pinned_share: Of an edge's store; the rest is its own policy's.
        windows: Local hours in which edges fetch for the plan, `02:00-08:00`.
        fill_share: What plans may fetch, of what viewers are expected to take.
        fill_kbps: What an edge may fetch for the plan at a time.
        fill_price: Bytes that a fetched byte must be expected to save, at least.
        churn_share: Of an edge's pinned bytes, that one plan may replace: what is held and makes
            way for what is fetched, or for places reserved.
        spread: How eager hot files are copied within a cluster; 0: each is there once.
        history_days: How much reported demand is looked at.
    """

    enabled: bool = True
    apply: bool = True
    interval_s: Annotated[float, msgspec.Meta(ge=REPLAN_S)] = 2 * 3600.0
    valid_s: Annotated[float, msgspec.Meta(ge=60.0)] = 36 * 3600.0
    pinned_share: Share = 0.97
    windows: tuple[str, ...] = ("02:00-08:00",)
    fill_share: Share = 0.1
    fill_kbps: Positive = 200_000.0
    fill_price: Annotated[float, msgspec.Meta(ge=0.0)] = 0.1
    churn_share: Share = 0.5
    spread: Annotated[float, msgspec.Meta(ge=0.0)] = 4.0
    history_days: Annotated[int, msgspec.Meta(ge=1, le=366)] = 14

    def __post_init__(self) -> None:
        for window in self.windows:
            parse_window(window)  # raises ValueError, which says enough


class AdminTlsConfig(Section, frozen=True):
    """TLS on the admin port. PEM files, which are read again when they change."""

    certificate: str = ""
    """With the chain up to the authority; empty: plain HTTP."""
    key: str = ""

    def __post_init__(self) -> None:
        if bool(self.certificate) != bool(self.key):
            raise ValueError("certificate and key belong together: set both")


class ControlConfig(Section, frozen=True):
    """The fleet of edges that this origin looks after.

    Attributes:
        database: SQLAlchemy URL, such as postgresql://user@host/name; empty: `control.db` in the
            library's folder.
        fleet_listen: Where edges report, over mutual TLS; empty: loopback, 20 ports above `listen`.
        admin_listen: The page and its API; empty: loopback, 10 ports above `listen`.
        admin_plain: Plain HTTP on an `admin_listen` that other machines reach: a proxy with TLS
            stands before it, or the network is trusted.
        admin_names: Host names by which the admin port may be asked, besides those of loopback.
        fleet_names: Host names and addresses in the fleet port's certificate; the first is what
            edges are told, unless `fleet_url` says otherwise.
        fleet_url: The fleet port as edges reach it.
        steering_url: This origin as players reach it, `https://origin.example`; empty: manifests
            do not speak of steering.
        admin_token_file: Made at first start; empty: `admin.token` in the library's folder.
        trusted_proxies: Networks whose X-Forwarded-For is believed.
        collector: Take players' CMCD reports on the content listener.
        connections_max: Of edges, at a time.
    """

    enabled: bool = True
    database: str = ""
    fleet_listen: str = ""
    admin_listen: str = ""
    admin_tls: AdminTlsConfig = AdminTlsConfig()
    admin_plain: bool = False
    admin_names: tuple[str, ...] = ()
    fleet_names: tuple[str, ...] = ("127.0.0.1", "localhost", "::1")
    fleet_url: str = ""
    steering_url: str = ""
    admin_token_file: str = ""
    trusted_proxies: tuple[str, ...] = ()
    collector: bool = True
    connections_max: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 4096
    plan: PlanConfig = PlanConfig()

    def __post_init__(self) -> None:
        for network in self.trusted_proxies:
            ipaddress.ip_network(network, strict=False)  # raises ValueError, which says enough
        if not self.fleet_names:
            raise ValueError("fleet_names: name at least one host or address")
        for name, hosts in (("fleet_names", self.fleet_names), ("admin_names", self.admin_names)):
            for host in hosts:
                if not is_host(host):
                    raise ValueError(f"{name}: {host!r} is no host's name and no address")
        if self.fleet_url and not is_site(self.fleet_url, "https"):
            raise ValueError(f"fleet_url: {self.fleet_url!r}: write it as https://HOST:PORT")
        if self.steering_url and not is_site(self.steering_url, "http", "https"):
            raise ValueError(f"steering_url: {self.steering_url!r}: write it as https://HOST:PORT")
        for name, listen in (
            ("fleet_listen", self.fleet_listen),
            ("admin_listen", self.admin_listen),
        ):
            if listen:
                _check_listen(name, listen)
        host = parse_address(self.admin_listen, "")[0] if self.admin_listen else ""
        is_safe = is_loopback(host) or bool(self.admin_tls.certificate) or self.admin_plain
        if self.enabled and host and not is_safe:
            raise ValueError(
                f"admin_listen: on {host!r} tokens would cross the network readable: set "
                "control.admin_tls.certificate and .key; or, with a proxy before it that speaks "
                "TLS, control.admin_plain = true"
            )
        scheme = self.database.partition("://")[0]
        if self.database and not ("://" in self.database and scheme in DATABASE_SCHEMES):
            # Not what was written: it may hold a password.
            raise ValueError("database: write postgresql://USER@HOST:PORT/NAME or sqlite:///PATH")


def _check_listen(name: str, text: str) -> None:
    try:
        parse_address(text, name)
    except ConfigError as error:
        raise ValueError(f"{name}: {str(error).removeprefix(name).lstrip()}") from error


class ObjectsConfig(Section, frozen=True):
    """Where titles' files are that are not in the library's own folder.

    Attributes:
        url: `s3://bucket/prefix`, or a folder; empty: nowhere.
        endpoint: Of an S3 server that is not Amazon's; else AWS_ENDPOINT_URL.
        region: Else AWS_REGION.
        credentials_file: Like ~/.aws/credentials, of which `[default]` is read; else the
            environment's AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
    """

    url: str = ""
    endpoint: str = ""
    region: str = ""
    credentials_file: str = ""


class TelemetryConfig(Section, frozen=True):
    """What becomes of what edges tell.

    Attributes:
        nats_url: Take it from NATS JetStream too, `nats://host:port`; edges name the same in their
            `telemetry.url`.
        nats_credentials_file: Holds USER:PASSWORD, a token, or NATS credentials.
        nats_bytes_max: What the stream may hold for origins that are away; edges keep the rest.
        history: Keep raw events as Parquet files.
        history_url: Where: `s3://bucket/prefix` (with the credentials of `objects`) or a folder;
            empty: the folder `history` in the library.
        history_s: How long events wait in the database before they are put into a file.
        history_days: How long files are kept.
        series_s: How often the page's figures by the minute are written to the database: what an
            origin that is killed forgets of them.
    """

    nats_url: str = ""
    nats_credentials_file: str = ""
    nats_bytes_max: Annotated[int, msgspec.Meta(ge=1_000_000)] = 1_000_000_000
    history: bool = True
    history_url: str = ""
    history_s: Positive = 300.0
    history_days: Annotated[int, msgspec.Meta(ge=1, le=36_500)] = 90
    series_s: Annotated[float, msgspec.Meta(ge=1.0, le=600.0)] = 20.0

    def __post_init__(self) -> None:
        check_nats_url(self.nats_url, "nats_url")


class OriginConfig(Section, frozen=True):
    """Settings of `nearcast origin serve`.

    `poll_s`: how often to look for titles that an ingest has added. `drain_s`: how long answers
    under way may take after SIGTERM.
    """

    library: str = "library"
    listen: str = "127.0.0.1:8080"
    poll_s: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    drain_s: Annotated[float, msgspec.Meta(ge=0)] = 10.0
    freshness: FreshnessConfig = FreshnessConfig()
    limits: LimitsConfig = LimitsConfig()
    objects: ObjectsConfig = ObjectsConfig()
    control: ControlConfig = ControlConfig()
    telemetry: TelemetryConfig = TelemetryConfig()
