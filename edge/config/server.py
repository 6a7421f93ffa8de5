"""The sections [server] and [tls]: how clients are treated on the socket."""

from __future__ import annotations

import ipaddress
from typing import Annotated

import msgspec

from edge.config.ranges import Count, NotNegative, Positive
from nearcast.config import Section


class ServerConfig(Section, frozen=True, kw_only=True):
    """How clients are treated on the socket."""

    connections_max: Count = 4096
    connections_per_address_max: Count = 512
    """From one IPv4 address, or one IPv6 /64; room for a household or a small carrier's NAT."""
    unlimited_addresses: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    """Networks that limit does not hold for: a proxy of one's own in front."""
    idle_s: Positive = 60.0
    """How long a connection without a request is kept."""
    header_deadline_s: Positive = 10.0
    """For a client to send its request head."""
    send_s: Positive = 60.0
    """A client that has fallen behind `rate_min_kbps` by what that is in one and a half times this
    is let go: one that takes nothing, within twice this. So is one that sends nothing of its
    request's body for so long."""
    rate_min_kbps: NotNegative = 32.0
    drain_delay_s: NotNegative = 0.0
    """How long a node that is told to stop goes on taking requests while /readyz says no: the time
    a balancer needs to look and to send them elsewhere."""
    drain_s: Positive = 10.0
    """For answers under way to finish when the node stops."""
    head_bytes_max: Count = 16_384
    """Of a request line, and of a header field."""
    target_length_max: Count = 8192
    """Of path and query."""
    head_field_count_max: Count = 128
    request_body_bytes_max: Annotated[int, msgspec.Meta(ge=0)] = 1_000_000_000
    """Of what clients send; more is answered 413."""
    memory_send_bytes_min: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """Objects in RAM of at least this size are sent from there even where they have a file; None:
    never. Where memory is fast and the network card takes one page at a time, about 1 MB."""
    reuse_port: bool = False
    """Let another process listen on the same port too: it can take over before this one ends."""

    def __post_init__(self) -> None:
        for text in self.unlimited_addresses:
            try:
                ipaddress.ip_network(text)
            except ValueError as error:
                raise ValueError(f"unlimited_addresses: {error}") from error


class TlsConfig(Section, frozen=True, kw_only=True):
    """TLS on `listen`. Files are PEM; they are read again when they change."""

    certificate: str | None = None
    """With the chain up to the authority; None: plain HTTP."""
    key: str | None = None
    client_ca: str | None = None
    """Clients must show a certificate of this authority."""
    handshake_s: Positive = 10.0

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together: set both")
        if self.client_ca is not None and self.certificate is None:
            raise ValueError("client_ca needs a certificate and a key of the node's own")
