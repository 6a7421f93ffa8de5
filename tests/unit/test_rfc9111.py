"""RFC 9111 case by case, through the whole core: one stored answer, one later request.

Each case names the section it comes from. `plain` cases run with the defaults, `transparent` ones
with that profile, since the RFC leaves to the cache what they are about.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import pytest

from cache.http.dates import format_date
from cache.http.headers import Headers, get_one
from edge.config import EdgeConfig, HttpConfig
from edge.config.profiles import PROFILES
from edge.effects import Effect, PassThrough, ServeFill, ServeObject, ServeText, StartFill
from nearcast.cache_status import parse_cache_status
from nearcast.config import load
from tests.edge_bench import EPOCH_S, Bench, one

Outcome = Literal["hit", "stale", "validate", "fetch", "pass", "504"]
"""hit: from the store. stale: from the store, past its time. validate: upstream is asked with
conditions. fetch: without. pass: for this client alone. 504: only-if-cached."""

DATE = ("date", format_date(EPOCH_S))
TAG = ("etag", '"a"')
MODIFIED = ("last-modified", format_date(EPOCH_S - 1000))


def control(text: str, *more: tuple[str, str]) -> Headers:
    return (("cache-control", text), *more)


def expires(after_s: float) -> tuple[str, str]:
    return ("expires", format_date(EPOCH_S + after_s))


class Case(NamedTuple):
    section: str
    says: str
    response: Headers
    after_s: float
    expected: Outcome
    request: Headers = ()
    first_request: Headers = ()
    status: int = 200
    method: str = "GET"
    profile: Literal["plain", "transparent"] = "plain"


# A table: a case is one line, or two.
# fmt: off
FRESHNESS = [
    Case("4.2.1", "max-age", control("max-age=60"), 59, "hit"),
    Case("4.2.1", "max-age is over", control("max-age=60"), 60, "fetch"),
    Case("4.2.1", "over, with a validator", control("max-age=60", TAG), 60, "validate"),
    Case("4.2.1", "s-maxage over max-age", control("max-age=1, s-maxage=60"), 30, "hit"),
    Case("4.2.1", "a shorter s-maxage too", control("max-age=60, s-maxage=1"), 30, "fetch"),
    Case("4.2.1", "max-age over Expires", control("max-age=60", DATE, expires(-9)), 30, "hit"),
    Case("4.2.1", "max-age=0 over Expires", control("max-age=0", DATE, expires(99)), 0, "fetch"),
    Case("4.2.1", "Expires", (DATE, expires(60)), 59, "hit"),
    Case("4.2.1", "Expires is over", (DATE, expires(60)), 60, "fetch"),
    Case("4.2.1", "Expires against the origin's clock",
         (("date", format_date(EPOCH_S + 400)), expires(300)), 0, "fetch"),
    Case("4.2.1", "two lifetimes that differ", control("max-age=60, max-age=90"), 1, "fetch"),
    Case("4.2.1", "the same lifetime twice", control("max-age=60, max-age=60"), 1, "hit"),
    Case("4.2.1", "a lifetime that is no number", control("max-age=x"), 1, "fetch"),
    Case("4.2.1", "a negative lifetime", control("max-age=-60"), 1, "fetch"),
    Case("1.2.2", "a very long lifetime", control("max-age=99999999999"), 1e6, "hit"),
    Case("5.3", "Expires: 0", (DATE, ("expires", "0")), 0, "fetch"),
    Case("5.3", "several Expires", (DATE, expires(60), expires(90)), 0, "fetch"),
    Case("5.3", "Date that is none", (("date", "foo"), expires(60)), 1, "hit"),
    Case("4.2.2", "no heuristics unless told", (DATE, ("last-modified", "x")), 0, "fetch"),
    Case("4.2.2", "a tenth of the time unchanged", (DATE, MODIFIED), 99, "hit",
         profile="transparent"),
    Case("4.2.2", "and no more", (DATE, MODIFIED), 100, "validate", profile="transparent"),
    Case("4.2.2", "no heuristics for a 403", (DATE, MODIFIED), 1, "fetch", status=403,
         profile="transparent"),
    Case("4.2.2", "public makes any status fit", (DATE, MODIFIED, *control("public")), 1, "hit",
         status=599, profile="transparent"),
    Case("4.2.3", "Age on arrival", control("max-age=60", ("age", "50")), 9, "hit"),
    Case("4.2.3", "is part of the age", control("max-age=60", ("age", "50")), 10, "fetch"),
    Case("4.2.3", "an old Date too", control("max-age=60", ("date", format_date(EPOCH_S - 50))), 10,
         "fetch"),
    Case("5.1", "the first of several ages", control("max-age=60", ("age", "0, 99")), 1, "hit"),
    Case("5.1", "an Age that is none", control("max-age=60", ("age", "99.0")), 1, "hit"),
    Case("5.1", "a huge Age", control("max-age=60", ("age", "2147483649")), 1, "fetch"),
]

STORING = [
    Case("3", "no-store", control("no-store, max-age=60"), 1, "fetch"),
    Case("3", "no-store in any case", control("No-StOrE, max-age=60"), 1, "fetch"),
    Case("3", "private", control("private, max-age=60"), 1, "fetch"),
    Case("3", "request no-store", control("max-age=60"), 1, "pass", request=control("no-store"),
         first_request=control("no-store")),
    Case("3", "302 with a lifetime", control("max-age=60"), 1, "hit", status=302),
    Case("3", "404 with a lifetime", control("max-age=60"), 1, "hit", status=404),
    Case("3", "400 unless told", control("max-age=60"), 6, "fetch", status=400),
    Case("3", "400 when told", control("max-age=60"), 1, "hit", status=400, profile="transparent"),
    Case("3", "503 when told", control("max-age=60"), 1, "hit", status=503, profile="transparent"),
    Case("5.2.2.3", "must-understand and understood",
         control("no-store, must-understand, max-age=60"), 1, "hit"),
    Case("5.2.2.3", "must-understand and not understood", control("must-understand, max-age=60"), 1,
         "fetch", status=599, profile="transparent"),
    Case("3.5", "Authorization", control("max-age=60"), 1, "pass",
         request=(("authorization", "x"),), first_request=(("accept", "*/*"),)),
    Case("3.5", "Authorization, public", control("public, max-age=60"), 1, "hit",
         first_request=(("authorization", "x"),), profile="transparent"),
    Case("3.5", "Authorization, s-maxage", control("s-maxage=60"), 1, "hit",
         first_request=(("authorization", "x"),), profile="transparent"),
    Case("3.5", "Authorization, must-revalidate", control("must-revalidate, max-age=60"), 1, "hit",
         first_request=(("authorization", "x"),), profile="transparent"),
    Case("3.5", "Authorization alone", control("max-age=60"), 1, "fetch",
         first_request=(("authorization", "x"),), profile="transparent"),
    Case("7.3", "Set-Cookie unless told", control("max-age=60", ("set-cookie", "a=b")), 6, "fetch"),
    Case("7.3", "Set-Cookie, public", control("public, max-age=60", ("set-cookie", "a=b")), 1,
         "hit"),
    Case("7.3", "Set-Cookie when told", control("max-age=60", ("set-cookie", "a=b")), 1, "hit",
         profile="transparent"),
    Case("7.3", "a request with Cookie", control("max-age=60"), 1, "pass",
         request=(("cookie", "a=b"),)),
    Case("7.3", "a request with Cookie when told", control("max-age=60"), 1, "hit",
         request=(("cookie", "a=b"),), profile="transparent"),
]

VALIDATION = [
    Case("5.2.2.4", "no-cache", control("no-cache, max-age=60", TAG), 1, "validate"),
    Case("5.2.2.4", "no-cache with fields", control('no-cache="a", max-age=60', TAG), 1,
         "validate"),
    Case("5.2.2.2", "must-revalidate while fresh", control("must-revalidate, max-age=60", TAG), 1,
         "hit"),
    Case("5.2.2.2", "must-revalidate when stale", control("must-revalidate, max-age=60", TAG), 61,
         "validate", request=control("max-stale")),
    Case("5.2.2.8", "proxy-revalidate when stale", control("proxy-revalidate, max-age=60", TAG), 61,
         "validate", request=control("max-stale")),
    Case("5.2.2.10", "s-maxage bars max-stale", control("s-maxage=60", TAG), 61, "validate",
         request=control("max-stale")),
    Case("4.2.4", "max-stale", control("max-age=60", TAG), 61, "stale",
         request=control("max-stale=10")),
    Case("4.2.4", "staler than that", control("max-age=60", TAG), 71, "validate",
         request=control("max-stale=10")),
    Case("5.2.1.1", "request max-age", control("max-age=60", TAG), 30, "validate",
         request=control("max-age=20")),
    Case("5.2.1.3", "min-fresh", control("max-age=60", TAG), 30, "validate",
         request=control("min-fresh=40")),
    Case("5.2.1.4", "request no-cache", control("max-age=60", TAG), 1, "validate",
         request=control("no-cache")),
    Case("5.4", "Pragma", control("max-age=60", TAG), 1, "validate",
         request=(("pragma", "no-cache"),)),
    Case("5.4", "Pragma beside Cache-Control", control("max-age=60", TAG), 1, "hit",
         request=(("pragma", "no-cache"), ("cache-control", "x"))),
    Case("5.2.1.7", "only-if-cached and it is", control("max-age=60"), 1, "hit",
         request=control("only-if-cached")),
    Case("5.2.1.7", "only-if-cached and it is not", control("max-age=60"), 61, "504",
         request=control("only-if-cached")),
    Case("RFC 5861 3", "stale-while-revalidate",
         control("max-age=60, stale-while-revalidate=30", TAG), 89, "stale"),
    Case("RFC 5861 3", "after its time", control("max-age=60, stale-while-revalidate=30", TAG), 90,
         "validate"),
    Case("4.3.5", "HEAD from a stored GET", control("max-age=60"), 1, "hit", method="HEAD"),
    Case("4.3.5", "HEAD of a stale one", control("max-age=60", TAG), 61, "pass", method="HEAD"),
]

NEGOTIATION = [
    Case("4.1", "the same field", control("max-age=60", ("vary", "Accept")), 1, "hit",
         request=(("accept", "a"),), first_request=(("accept", "a"),),
         profile="transparent"),
    Case("4.1", "another value", control("max-age=60", ("vary", "Accept")), 1, "fetch",
         request=(("accept", "b"),), first_request=(("accept", "a"),),
         profile="transparent"),
    Case("4.1", "not there the first time", control("max-age=60", ("vary", "Accept")), 1, "fetch",
         request=(("accept", "a"),),
         profile="transparent"),
    Case("4.1", "not there the second time", control("max-age=60", ("vary", "Accept")), 1, "fetch",
         first_request=(("accept", "a"),),
         profile="transparent"),
    Case("4.1", "a field that counts for nothing", control("max-age=60", ("vary", "Accept")), 1,
         "hit", request=(("origin", "b"),), first_request=(("origin", "a"),),
         profile="transparent"),
    Case("4.1", "order and case", control("max-age=60", ("vary", "Accept-Language")), 1, "hit",
         request=(("accept-language", "DE,en"),), first_request=(("accept-language", "en, de"),),
         profile="transparent"),
    Case("4.1", "joined lines", control("max-age=60", ("vary", "foo")), 1, "hit",
         request=(("foo", "1"), ("foo", "2")), first_request=(("foo", "1, 2"),),
         profile="transparent"),
    Case("4.1", "two fields", control("max-age=60", ("vary", "foo"), ("vary", "bar")), 1, "fetch",
         request=(("foo", "1"), ("bar", "3")), first_request=(("foo", "1"), ("bar", "2")),
         profile="transparent"),
    Case("4.1", "Vary: *", control("max-age=60", ("vary", "*")), 6, "fetch"),
    Case("4.1", "Vary: , *", control("max-age=60", ("vary", ", *")), 6, "fetch"),
]
# fmt: on


def bench_of(profile: str) -> Bench:
    if profile == "plain":
        # What was not storable is not remembered, so that each case shows what was stored.
        return Bench(http=HttpConfig(uncacheable_s=0.0))
    config = load(EdgeConfig, role="edge", profile=profile, profiles=PROFILES).value
    return Bench(http=config.http, service=config.service)


def outcome_of(effects: list[Effect]) -> str:
    for effect in effects:
        if isinstance(effect, PassThrough):
            return "pass"
        if isinstance(effect, ServeText):
            return str(effect.status)
        if isinstance(effect, ServeObject | ServeFill):
            line = get_one(effect.headers, "cache-status")
            assert line is not None
            return "hit" if parse_cache_status(line)[-1].is_hit else "stale"
    names = {name for name, _ in one(effects, StartFill).headers}
    return "fetch" if names.isdisjoint({"if-none-match", "if-modified-since"}) else "validate"


@pytest.mark.parametrize(
    "case",
    [*FRESHNESS, *STORING, *VALIDATION, *NEGOTIATION],
    ids=lambda case: f"{case.section} {case.says}".replace("/", "|"),
)
def test_rfc_9111(case: Case) -> None:
    bench = bench_of(case.profile)
    started = bench.ask("/a", case.first_request)
    if any(isinstance(effect, StartFill) for effect in started):
        bench.head(started, case.response, status=case.status)
        bench.end(started)
    bench.now_s = case.after_s
    hit = bench.hit("/a", case.request, case.method)
    assert (hit is not None) is (case.expected == "hit")
    assert outcome_of(bench.ask("/a", case.request, case.method)) == case.expected
