"""Keys and services: no request is ever given what another one asked for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.config import EdgeConfig, KeyRules, QueryRule, ServiceConfig
from edge.effects import StartFill
from edge.services import Services
from nearcast.cmcd import strip_query
from nearcast.errors import ConfigError
from tests.edge_bench import Bench

names = st.sampled_from(["a", "b", "utm", "CMCD", "v", "", "a%62", "CMCDx"])
arguments = st.tuples(names, st.none() | st.sampled_from(["", "1", "2", "=", "CMCD=1"])).map(
    lambda pair: pair[0] if pair[1] is None else f"{pair[0]}={pair[1]}"
)
targets = st.tuples(
    st.sampled_from(["/", "/a", "/a/b", "/live", "/live/1", "/lively", "//a"]),
    st.none() | st.lists(arguments, max_size=4).map("&".join),
).map(lambda pair: pair[0] if pair[1] is None else f"{pair[0]}?{pair[1]}")
some_names = st.lists(st.sampled_from(["a", "b", "utm", "v", "CMCD"]), max_size=3).map(tuple)
rules = st.builds(
    KeyRules,
    query=st.just("all")
    | some_names.map(lambda names: QueryRule(allow=names))
    | some_names.map(lambda names: QueryRule(ignore=names)),
    sort=st.booleans(),
    host=st.booleans(),
)


def one_service(key: KeyRules) -> Services:
    config = ServiceConfig(name="a", upstream="http://o/p", hosts=("*.x", "x"), key=key)
    return Services(EdgeConfig(services=(config,)))


def counted(key: KeyRules, host: str, target: str) -> tuple[object, ...]:
    """What of a request makes it another object, said in another way: by lists."""
    path, mark, query = target.partition("?")
    pairs = [argument.partition("=") for argument in query.split("&")] if mark else []
    kept = []
    for pair in pairs:
        name = pair[0]
        if name == "CMCD":
            continue
        if isinstance(key.query, QueryRule):
            if key.query.allow is not None and name not in key.query.allow:
                continue
            if key.query.ignore is not None and name in key.query.ignore:
                continue
        kept.append(pair)
    if key.sort:
        by_name: dict[str, list[object]] = {}
        for pair in kept:
            by_name.setdefault(pair[0], []).append(pair)
        return (host if key.host else "", path, sorted(by_name.items()))
    return (host if key.host else "", path, kept)


@given(
    key=rules,
    some=st.tuples(targets, targets),
    hosts=st.tuples(*[st.sampled_from(["x", "y.x"])] * 2),
)
def test_requests_share_a_key_only_where_the_rules_say_so(
    key: KeyRules, some: tuple[str, str], hosts: tuple[str, str]
) -> None:
    table = one_service(key)
    found = [table.key_of(host, target) for host, target in zip(hosts, some, strict=True)]
    assert found[0] is not None
    assert found[1] is not None
    is_same = found[0][1] == found[1][1]
    should_be = counted(key, hosts[0], some[0]) == counted(key, hosts[1], some[1])
    if is_same:
        # "/a?" and "/a" are other objects where nothing is filtered, and the same elsewhere.
        assert should_be
    elif should_be:
        assert {len(target.partition("?")[1]) for target in map(strip_query, some)} == {0, 1}


@given(key=rules, target=targets, host=st.sampled_from(["x", "y.x", "Y.X:80"]))
def test_a_key_is_its_own_key_and_leads_back_to_its_service(
    key: KeyRules, target: str, host: str
) -> None:
    table = one_service(key)
    found = table.key_of(host, target)
    assert found is not None
    service, url = found
    assert table.of_url(url) is service
    assert service.key_of_url(url) == url
    assert table.canonical(url) == url
    assert "CMCD=" not in url.replace("=CMCD=", "")


@given(key=rules, target=targets)
def test_what_upstream_is_asked_is_the_key(key: KeyRules, target: str) -> None:
    config = ServiceConfig(name="a", upstream="http://o/p", hosts=("x",), key=key)
    bench = Bench(services=(config,))
    effects = bench.ask(target, (("host", "x"),))
    started = [effect for effect in effects if isinstance(effect, StartFill)]
    found = bench.core.services.key_of("x", target)
    assert found is not None
    assert [effect.url for effect in started] == [found[1]]


service_configs = st.builds(
    ServiceConfig,
    name=st.uuids().map(str),
    upstream=st.sampled_from(["http://o", "http://o/p", "http://o/p/q", "http://x", "http://n:1"]),
    hosts=st.lists(st.sampled_from(["x", "*.x", "y.x", "z"]), max_size=2, unique=True).map(tuple),
    path=st.sampled_from(["/", "/a", "/a/", "/live", "/live/1"]),
)


@given(
    configs=st.lists(service_configs, min_size=1, max_size=4),
    requests=st.lists(
        st.tuples(st.sampled_from(["x", "y.x", "a.b.x", "z", "o", "w"]), targets), max_size=6
    ),
    keeps_apart=st.lists(st.booleans(), min_size=4, max_size=4),
)
def test_objects_of_one_service_are_never_anothers(
    configs: list[ServiceConfig], requests: list[tuple[str, str]], keeps_apart: list[bool]
) -> None:
    made = [
        ServiceConfig(
            name=config.name,
            upstream=config.upstream,
            hosts=config.hosts,
            path=config.path,
            key=KeyRules(host=apart and bool(config.hosts)),
        )
        for config, apart in zip(configs, keeps_apart, strict=False)
    ]
    try:
        table = Services(EdgeConfig(services=tuple(made)))
    except ConfigError:
        return  # they could be mistaken for each other, and that was said
    owners: dict[str, str] = {}
    for host, target in requests:
        found = table.key_of(host, target)
        if found is not None:
            service, url = found
            assert owners.setdefault(url, service.name) == service.name
            assert table.of_url(url) is service


header_names = st.sampled_from(
    ["accept", "accept-language", "x-a", "x-forwarded-host", "cookie2", "range", "host", "te"]
)


@given(
    allowed=st.lists(st.sampled_from(["accept", "x-a", "x-b"]), unique=True).map(tuple),
    headers=st.lists(st.tuples(header_names, st.sampled_from(["1", "2"])), max_size=6).map(tuple),
)
def test_no_field_that_is_not_allowed_reaches_upstream(
    allowed: tuple[str, ...], headers: tuple[tuple[str, str], ...]
) -> None:
    config = ServiceConfig(name="a", upstream="http://o", request_headers_allow=allowed)
    bench = Bench(services=(config,))
    for effect in bench.ask("/a", headers):
        if isinstance(effect, StartFill):
            assert {name for name, _ in effect.headers} <= {*allowed, "accept-encoding", "range"}
