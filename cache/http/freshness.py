"""What may be stored, for how long it is fresh, and what may be served (RFC 9111, 3 and 4.2).

All times are wall clock seconds handed in; a cache that derives them from one monotonic clock
(`epoch_s + now_s`) never sees time go back. Two steps: `describe` turns a stored response into a
`Freshness` once, `judge_reuse` compares that with the time on every request, at the cost of a few
float comparisons.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from cache.http.dates import format_date, parse_date
from cache.http.directives import (
    DELTA_S_MAX,
    Directives,
    request_directives,
    response_directives,
)
from cache.http.headers import Headers, get_all, get_list, get_one

HEURISTIC_STATUSES = frozenset({200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501})
"""May be fresh without saying for how long (RFC 9110, 15.1)."""

KEPT_STATUSES = frozenset({200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 410})
"""All we store unless told otherwise. Of the errors only "there is no such thing", so that one
client's odd request cannot make a refusal stick for all (CPDoS). 206 is judged by what a part
needs beyond this (`cache.http.parts`)."""

UNDERSTOOD_STATUSES = KEPT_STATUSES | {206, 400, 403, 405, 414, 500, 501, 502, 503, 504}
"""Whose meaning for a cache we know: what `must-understand` asks for (RFC 9111, 5.2.2.3)."""

NEGATIVE_STATUSES = frozenset({404, 410})

Reuse = Literal["fresh", "stale", "validate"]
"""fresh: serve. stale: serve, and revalidate meanwhile. validate: ask upstream first."""


class StorageRules(msgspec.Struct, frozen=True, kw_only=True):
    """What RFC 9111 leaves to the cache about responses that do not say all themselves."""

    default_freshness_s: float = 0.0
    """Of a response with a validator that names no lifetime."""
    negative_ttl_s: float = 0.0
    """Of a 404 or 410 that names none."""
    heuristic_fraction: float = 0.0
    """Of the time since Last-Modified, for a response that names no lifetime (4.2.2); 0: off."""
    heuristic_s_max: float = 86_400.0
    stores_set_cookie: bool = False
    """Keep what carries Set-Cookie without `public` or `s-maxage` too (7.3 leaves it to us)."""
    stores_any_status: bool = False
    """Keep errors and unknown statuses that name a lifetime."""


_NO_RULES = StorageRules()


class Verdict(msgspec.Struct, frozen=True):
    """May this response be stored; if not, why, in a few words fit for Cache-Status `detail`."""

    is_storable: bool
    reason: str = ""


class Freshness(msgspec.Struct, frozen=True, kw_only=True):
    """When a stored response is fresh. `can_be_stale` False: must-revalidate or the like."""

    received_wall_s: float
    initial_age_s: float
    lifetime_s: float
    must_validate: bool = False
    can_be_stale: bool = True
    is_max_stale_honoured: bool = True
    stale_while_revalidate_s: float = 0.0
    stale_if_error_s: float = 0.0

    @property
    def fresh_until_wall_s(self) -> float:
        """Fresh before this moment, unless `must_validate`."""
        return self.received_wall_s + self.lifetime_s - self.initial_age_s


def is_storable(
    method: str,
    status: int,
    request_headers: Headers,
    response_headers: Headers,
    *,
    received_wall_s: float,
    rules: StorageRules = _NO_RULES,
) -> Verdict:
    """Whether a shared cache may, and usefully can, store this response."""
    control = response_directives(response_headers)
    if method != "GET":
        return Verdict(False, "method")
    if not _is_status_kept(status, control, rules):
        return Verdict(False, "status")
    # must-understand overrides no-store for a status we understand (RFC 9111, 5.2.2.3).
    if control.no_store and not control.must_understand:
        return Verdict(False, "no-store")
    if request_directives(request_headers).no_store:
        return Verdict(False, "request no-store")
    if control.private:
        return Verdict(False, "private")
    is_shared = control.public or control.s_maxage_s is not None
    if get_all(request_headers, "authorization") and not (is_shared or control.must_revalidate):
        return Verdict(False, "authorization")
    lifetime_s = _explicit_lifetime_s(control, response_headers, received_wall_s)
    # RFC 9111 7.3 leaves cookies to the cache; one viewer's session must not reach another.
    if (
        get_all(response_headers, "set-cookie")
        and not is_shared
        and not (rules.stores_set_cookie and lifetime_s)
    ):
        return Verdict(False, "set-cookie")
    if "*" in get_list(response_headers, "vary"):
        return Verdict(False, "vary *")
    if lifetime_s is None:
        lifetime_s = _implied_lifetime_s(status, control, response_headers, received_wall_s, rules)
    is_ever_fresh = lifetime_s > 0 and not control.no_cache
    if not is_ever_fresh and not (status == 200 and has_validator(response_headers)):
        # Neither fresh for a moment nor worth a conditional request: storing it is only cost.
        return Verdict(False, "no lifetime, no validator")
    return Verdict(True)


def _is_status_kept(status: int, control: Directives, rules: StorageRules) -> bool:
    if control.must_understand and status not in UNDERSTOOD_STATUSES:
        return False
    if rules.stores_any_status:
        return 200 <= status <= 599 and status not in (206, 304)
    return status in KEPT_STATUSES


def dated(headers: Headers, received_wall_s: float) -> Headers:
    """With a Date: whoever stores or passes on a response without one adds the time it came
    (RFC 9110, 6.6.1)."""
    if get_all(headers, "date"):
        return headers
    return (*headers, ("date", format_date(received_wall_s)))


def has_validator(headers: Headers) -> bool:
    """Whether the response can be revalidated with a conditional request."""
    return (
        get_one(headers, "etag") is not None
        or parse_date(get_one(headers, "last-modified")) is not None
    )


def freshness_lifetime_s(
    status: int, headers: Headers, *, received_wall_s: float, rules: StorageRules = _NO_RULES
) -> float:
    """s-maxage, else max-age, else Expires - Date, else by the rules (RFC 9111, 4.2.1)."""
    control = response_directives(headers)
    lifetime_s = _explicit_lifetime_s(control, headers, received_wall_s)
    if lifetime_s is not None:
        return lifetime_s
    return _implied_lifetime_s(status, control, headers, received_wall_s, rules)


def _implied_lifetime_s(
    status: int,
    control: Directives,
    headers: Headers,
    received_wall_s: float,
    rules: StorageRules,
) -> float:
    """Of a response that names none (RFC 9111, 4.2.2). `public` makes any status fit for it."""
    if status not in HEURISTIC_STATUSES and not control.public:
        return 0.0
    modified_wall_s = parse_date(get_one(headers, "last-modified"))
    if rules.heuristic_fraction > 0 and modified_wall_s is not None:
        date_wall_s = parse_date(get_one(headers, "date"))
        made_wall_s = date_wall_s if date_wall_s is not None else received_wall_s
        unchanged_s = max(made_wall_s - modified_wall_s, 0.0)
        return min(unchanged_s * rules.heuristic_fraction, rules.heuristic_s_max)
    if status in NEGATIVE_STATUSES:
        return rules.negative_ttl_s
    # An answer without a validator is made for the moment: nothing could confirm it later.
    return rules.default_freshness_s if has_validator(headers) else 0.0


def _explicit_lifetime_s(
    control: Directives, headers: Headers, received_wall_s: float
) -> float | None:
    """None when the response does not say. A nonsensical Expires is in the past (RFC 9111, 5.3);
    a response without Date is dated when it was received."""
    if control.s_maxage_s is not None:
        return float(control.s_maxage_s)
    if control.max_age_s is not None:
        return float(control.max_age_s)
    if control.is_targeted or not get_all(headers, "expires"):
        return None  # a targeted field stands in place of Expires too (RFC 9213, 2.2)
    expires_wall_s = parse_date(get_one(headers, "expires"))
    if expires_wall_s is None:
        return 0.0
    date_wall_s = parse_date(get_one(headers, "date"))
    if date_wall_s is None:
        date_wall_s = received_wall_s
    return min(max(expires_wall_s - date_wall_s, 0.0), float(DELTA_S_MAX))


def initial_age_s(headers: Headers, *, requested_wall_s: float, received_wall_s: float) -> float:
    """Age on arrival: the larger of what Date and what Age say (RFC 9111, 4.2.3)."""
    date_wall_s = parse_date(get_one(headers, "date"))
    apparent_s = received_wall_s - date_wall_s if date_wall_s is not None else 0.0
    delay_s = max(received_wall_s - requested_wall_s, 0.0)
    return max(apparent_s, _age_value_s(headers) + delay_s, 0.0)


def _age_value_s(headers: Headers) -> int:
    """The first of several values; anything but a whole number is ignored (RFC 9111, 5.1)."""
    members = get_list(headers, "age")
    if not members or not (members[0].isascii() and members[0].isdigit()):
        return 0
    return int(members[0]) if len(members[0]) < len(str(DELTA_S_MAX)) else DELTA_S_MAX


def describe(
    status: int,
    headers: Headers,
    *,
    requested_wall_s: float,
    received_wall_s: float,
    rules: StorageRules = _NO_RULES,
) -> Freshness:
    """All that deciding on reuse needs, computed once per stored response.

    s-maxage carries proxy-revalidate for a shared cache (RFC 9111, 5.2.2.10), which bars a
    client's max-stale; an explicit stale-while-revalidate or stale-if-error beside it is the
    origin's own word and holds (`s-maxage=1, stale-while-revalidate=59` is how CDNs are told).
    """
    control = response_directives(headers)
    can_be_stale = not (control.must_revalidate or control.proxy_revalidate or control.no_cache)
    return Freshness(
        received_wall_s=received_wall_s,
        initial_age_s=initial_age_s(
            headers, requested_wall_s=requested_wall_s, received_wall_s=received_wall_s
        ),
        lifetime_s=freshness_lifetime_s(
            status, headers, received_wall_s=received_wall_s, rules=rules
        ),
        must_validate=control.no_cache,
        can_be_stale=can_be_stale,
        is_max_stale_honoured=can_be_stale and control.s_maxage_s is None,
        stale_while_revalidate_s=control.stale_while_revalidate_s or 0,
        stale_if_error_s=control.stale_if_error_s or 0,
    )


def ended(freshness: Freshness, wall_s: float) -> Freshness:
    """The same, but fresh no longer than until this moment: what may be served stale counts from
    there."""
    lifetime_s = min(freshness.lifetime_s, age_s(freshness, wall_s))
    return msgspec.structs.replace(freshness, lifetime_s=lifetime_s)


def age_s(freshness: Freshness, now_wall_s: float) -> float:
    """The value of the Age field, before rounding down."""
    return freshness.initial_age_s + max(now_wall_s - freshness.received_wall_s, 0.0)


def judge_reuse(freshness: Freshness, request: Directives, now_wall_s: float) -> Reuse:
    """Whether a stored response may answer. Pass `Directives()` to disregard the client's wishes.

    `only-if-cached` is the caller's business: "validate" then means 504.
    """
    if freshness.must_validate or request.no_cache:
        return "validate"
    age_now_s = age_s(freshness, now_wall_s)
    if request.max_age_s is not None and age_now_s > request.max_age_s:
        return "validate"
    remaining_s = freshness.lifetime_s - age_now_s
    if remaining_s > 0:
        return "fresh" if remaining_s >= (request.min_fresh_s or 0) else "validate"
    if not freshness.can_be_stale or request.min_fresh_s:
        return "validate"
    if -remaining_s < freshness.stale_while_revalidate_s:
        return "stale"
    if (
        freshness.is_max_stale_honoured
        and request.max_stale_s is not None
        and -remaining_s <= request.max_stale_s
    ):
        return "stale"
    return "validate"


def may_serve_on_error(
    freshness: Freshness, now_wall_s: float, *, default_stale_if_error_s: float = 0.0
) -> bool:
    """Whether a stale response may stand in for an upstream that failed or answered 5xx.

    The default applies where the origin neither grants nor forbids it (RFC 9111, 4.2.4).
    """
    if not freshness.can_be_stale:
        return False
    stale_s = age_s(freshness, now_wall_s) - freshness.lifetime_s
    return stale_s < (freshness.stale_if_error_s or default_stale_if_error_s)
