"""The sections [service] and [[services]]: where requests lead, and what counts of them.

`upstream` and [service] describe the one service of a simple node. [[services]] describes
several; each then says all of the same things for itself.
"""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import urlsplit

from edge.config.ranges import NotNegative
from nearcast.config import Section

_SERVICE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_FIELD_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_HOST = re.compile(r"(?:\*\.)?[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\]")
_VISIBLE = re.compile(r"[\x21-\x7e]+")

_FRAMING = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "range",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""The cache decides these itself; to pass on a client's would be somebody else's message."""

NEVER_SHARED = frozenset(
    {
        "accept-encoding",
        "cache-control",
        "cdn-loop",
        "cmcd-object",
        "cmcd-request",
        "cmcd-session",
        "cmcd-status",
        "content-length",
        "content-type",
        "expect",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "pragma",
        "proxy-authorization",
        "range",
    }
)
"""What a request for everyone never carries of a client's, even where all fields are allowed: it
asks for the whole object, unconditionally, as it is, and in the node's own name."""


def check_upstream(upstream: str) -> None:
    """Raises ValueError when it is not a URL that objects can be named by."""
    try:
        parts = urlsplit(upstream)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"upstream {upstream!r} is no URL: {error}") from error
    if parts.username is not None or parts.password is not None:
        raise ValueError(  # which is not shown: it would stand in logs
            "upstream must not hold a user or a password; send them by token or a certificate"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError(f"upstream {upstream!r}: write it as http://host[:port][/prefix]")
    if parts.query or parts.fragment:
        raise ValueError(f"upstream {upstream!r} must not hold a query or a fragment")
    if any(character <= " " or character > "~" for character in upstream) or "\\" in upstream:
        raise ValueError(f"upstream {upstream!r} holds a character that no URL has")


def _check_field_names(key: str, names: tuple[str, ...]) -> None:
    for name in names:
        if not _FIELD_NAME.fullmatch(name):
            raise ValueError(f"{key}: {name!r} is no name of a header field in lower case")


class QueryRule(Section, frozen=True, kw_only=True):
    """Which arguments of a query count. What does not count is not sent upstream either."""

    allow: tuple[str, ...] | None = None
    """These alone."""
    ignore: tuple[str, ...] | None = None
    """All but these."""

    def __post_init__(self) -> None:
        if (self.allow is None) == (self.ignore is None):
            raise ValueError('write it as "all", {allow = [...]} or {ignore = [...]}')
        for name in self.allow or self.ignore or ():
            if not _VISIBLE.fullmatch(name) or any(sign in name for sign in "&=#?"):
                raise ValueError(f"{name!r} is no name of an argument")


class KeyRules(Section, frozen=True, kw_only=True):
    """What of a request makes it another object. CMCD never does."""

    query: Literal["all"] | QueryRule = "all"
    sort: bool = False
    """Whether arguments in another order are the same; those of one name keep theirs."""
    host: bool = False
    """Whether each host has objects of its own. Upstream is then asked for the client's host
    instead of its own."""


class TlsRules(Section, frozen=True, kw_only=True):
    """How upstream is known, and how it knows us. Files are PEM."""

    ca_file: str | None = None
    """Who vouches for it; None: those the system trusts."""
    client_certificate: str | None = None
    client_key: str | None = None
    server_name: str | None = None
    """In its certificate, where that is not the host of its URL."""

    def __post_init__(self) -> None:
        if (self.client_certificate is None) != (self.client_key is None):
            raise ValueError("client_certificate and client_key belong together: set both")


class TokenRules(Section, frozen=True, kw_only=True):
    """A header field that tells upstream who we are. Its value is read from a file or from the
    environment, so that no setting holds a secret."""

    header: str = "authorization"
    file: str | None = None
    environment: str | None = None
    """Name of a variable."""

    def __post_init__(self) -> None:
        _check_field_names("header", (self.header,))
        if self.file is not None and self.environment is not None:
            raise ValueError("file and environment are both set: the token has one place")


class ServiceRules(Section, frozen=True, kw_only=True):
    """How one service's requests are told apart, forwarded and answered."""

    key: KeyRules = KeyRules()
    request_headers_allow: tuple[str, ...] = ("origin",)
    """Fields of a client that upstream is told when the answer is meant for everyone. They count:
    another value is another object (Origin: where upstream tells origins apart). `*`: all, and
    upstream's Vary says what counts."""
    response_headers_allow: tuple[str, ...] = ("*",)
    """Fields of upstream that clients get; what describes the body and its caching always goes
    along. `*`: all but the following."""
    response_headers_deny: tuple[str, ...] = ("surrogate-key", "cache-tag", "surrogate-control")
    """Fields of upstream that are meant for this node alone."""
    default_freshness_s: NotNegative | None = None
    """Instead of http.default_freshness_s, and so are the next two."""
    stale_if_error_s: NotNegative | None = None
    negative_ttl_s: NotNegative | None = None
    allow_private: bool = False
    """Whether upstream's name may lead to a private, loopback or link-local address. An upstream
    given as an address or as localhost means what it says."""
    tls: TlsRules = TlsRules()
    token: TokenRules = TokenRules()

    def __post_init__(self) -> None:
        for name in ("request_headers_allow", "response_headers_allow", "response_headers_deny"):
            _check_field_names(name, getattr(self, name))
        if framing := sorted(_FRAMING & {*self.request_headers_allow}):
            raise ValueError(f"request_headers_allow must not hold {', '.join(framing)}")
        if unsent := sorted((NEVER_SHARED | {"via"}) & {*self.request_headers_allow}):
            raise ValueError(
                f"request_headers_allow: {', '.join(unsent)} is never sent on; a request for "
                "everyone asks for the whole object, as it is (identity), in the node's own name"
            )
        if "*" in self.response_headers_deny:
            raise ValueError("response_headers_deny: name the fields; an answer needs some")


class ServiceConfig(ServiceRules, frozen=True, kw_only=True):
    """One of several services."""

    name: str
    upstream: str
    """http(s)://host[:port][/prefix], to which a request's target is appended."""
    hosts: tuple[str, ...] = ()
    """Those asked for by clients: `cdn.example.com`, `*.example.com`. None: any host."""
    path: str = "/"
    """The prefix of the paths served; of several that fit the longest one wins."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not _SERVICE_NAME.fullmatch(self.name):
            raise ValueError(f"name {self.name!r} must be a word of letters, digits, - _ .")
        check_upstream(self.upstream)
        for host in self.hosts:
            if not _HOST.fullmatch(host):
                raise ValueError(
                    f"hosts: {host!r} must be a name in lower case without port, such as "
                    "cdn.example.com or *.example.com"
                )
        if not self.path.startswith("/") or not _VISIBLE.fullmatch(self.path):
            raise ValueError(f"path {self.path!r} must begin with a slash")
        if any(sign in self.path for sign in ("?", "#", "/../", "\\")):
            raise ValueError(f"path {self.path!r} must be a plain path")
        if self.key.host and not self.hosts:
            raise ValueError(
                "key.host needs hosts: a client may write any host it likes, so name those that "
                "are served"
            )

    def base(self) -> str:
        """The upstream without slashes at its end: what the URLs of its objects begin with."""
        return self.upstream.rstrip("/")
