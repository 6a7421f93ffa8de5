"""Which header fields pass the node, and in which direction.

Towards upstream there are two ways. A *shared* request is made for everyone: of the client's
fields it carries those that the service allows, and nothing else. What it carries counts: the
answer is stored as if it named these fields in Vary, so that no field can poison what others get,
whatever upstream makes of it without saying so. Origin counts where upstream shows that it may:
see `counted`. A service that sends on all fields has taken this upon itself: there Vary decides.

A *passed* request is made for one client and answered to that client alone: it carries all but
what belongs to a connection.

Towards clients a service may keep fields to itself: surrogate keys, and whatever else.
"""

from __future__ import annotations

from typing import Final

from cache.http.headers import Headers, end_to_end, get_all, replaced, without
from cache.http.vary import vary_names
from edge.config import ServiceRules
from edge.config.service import NEVER_SHARED
from edge.hops import shared_loop

_CMCD: Final = ("cmcd-request", "cmcd-object", "cmcd-status", "cmcd-session")

_IDENTITY: Final = ("accept-encoding", "identity")

# Without these an answer would be another one.
_ALWAYS_SHOWN: Final = frozenset(
    {
        "accept-ranges",
        "age",
        "allow",
        "cache-control",
        "cache-status",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-length",
        "content-location",
        "content-range",
        "content-type",
        "date",
        "etag",
        "expires",
        "last-modified",
        "location",
        "retry-after",
        "vary",
        "www-authenticate",
    }
)


# Who sends one of these asks for himself, unless the service lets upstream see it in shared
# requests: the answer's own fields then say who may have it (RFC 9111, 3.5 and 7.3).
PERSONAL: Final = frozenset({"authorization", "cookie"})


class Forwarding:
    """The rules of one service."""

    __slots__ = ("_allowed", "_is_by_origin", "hidden", "personal", "shown")

    def __init__(self, rules: ServiceRules) -> None:
        named = frozenset(rules.request_headers_allow)
        self._allowed = None if "*" in named else named
        self._is_by_origin = False  # upstream has been seen to tell origins apart
        self.personal = PERSONAL - named if "*" not in named else frozenset()
        """Fields that make a request one for its client alone."""
        shown = frozenset(rules.response_headers_allow)
        self.shown = None if "*" in shown else shown | _ALWAYS_SHOWN
        self.hidden = frozenset(rules.response_headers_deny) - _ALWAYS_SHOWN

    def shared(self, headers: Headers) -> Headers:
        """What is sent upstream when the answer is to serve everyone.

        Bodies are asked for as they are: they are stored once, and manifests must be readable.
        """
        if self._allowed is None:
            fields = without(end_to_end(headers), NEVER_SHARED)
        else:
            allowed = self._allowed
            fields = tuple(field for field in headers if field[0] in allowed)
        return (*fields, *shared_loop(headers), _IDENTITY)

    def is_varied_by_unsent(self, names: tuple[str, ...], headers: Headers) -> bool:
        """Whether an answer depends on a field that this client sent and upstream did not get."""
        sent = {name for name, _ in self.shared(headers)}
        return any(name not in sent and get_all(headers, name) for name in names)

    def counted(self, sent: Headers, answer: Headers) -> Headers:
        """The fields of an answer to a shared request, with Vary naming what counts.

        Origin does not count where upstream admits every origin, nor where nobody sent one, until
        this upstream has once admitted a certain origin: from then on having none counts too.
        """
        if not self._allowed:
            return answer
        names = self._allowed
        if "origin" in names:
            admitted = get_all(answer, "access-control-allow-origin")
            if any(one.strip() != "*" for one in admitted):
                self._is_by_origin = True
            is_for_all = admitted == ("*",) or not get_all(sent, "origin")
            if is_for_all and not self._is_by_origin:
                names = names - {"origin"}
        return _varied_by(answer, names)

    def still_counted(self, before: Headers, after: Headers) -> Headers:
        """The fields of a stored answer that was renewed: what counted goes on counting."""
        return _varied_by(after, (self._allowed or frozenset()) & {*(vary_names(before) or ())})

    def visible(self, headers: Headers) -> Headers:
        """What of upstream's fields a client gets."""
        return visible(headers, self.shown, self.hidden)


def _varied_by(answer: Headers, names: frozenset[str]) -> Headers:
    """With these names in Vary, if it does not say `*`."""
    known = vary_names(answer)
    if known is None or not (missing := names.difference(known)):
        return answer
    return (*answer, ("vary", ", ".join(sorted(missing))))


def visible(headers: Headers, shown: frozenset[str] | None, hidden: frozenset[str]) -> Headers:
    """Of these fields the ones that are shown (None: all) and not hidden."""
    if shown is None:
        return without(headers, hidden) if hidden else headers
    return tuple(field for field in headers if field[0] in shown and field[0] not in hidden)


def varying_headers(headers: Headers) -> Headers:
    """What Vary is judged by: the client's fields, but for those that we set ourselves."""
    return replaced(headers, *_IDENTITY)


def passed_headers(headers: Headers) -> Headers:
    """What is sent upstream when a request is forwarded for one client alone."""
    return without(end_to_end(headers), ("host", *_CMCD))
