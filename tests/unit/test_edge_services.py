"""Services: which one a request belongs to, what its objects are called, which fields pass."""

from __future__ import annotations

import pytest

from edge.config import EdgeConfig, KeyRules, QueryRule, ServiceConfig
from edge.effects import PassThrough, ServeFill, ServeText, StartFill
from edge.events import CatalogLearned
from edge.services import HOSTS_REMEMBERED_MAX, Services
from edge.successors import Successors
from edge.targets import is_public
from nearcast.errors import ConfigError
from nearcast.messages import Catalog, TitleEntry
from tests.edge_bench import MAX_AGE, Bench, one

LIVE = ServiceConfig(
    name="live", upstream="http://live:81/l", hosts=("tv.example", "*.tv.example"), path="/live"
)
VOD = ServiceConfig(name="vod", upstream="http://vod", hosts=("tv.example", "*.tv.example"))
EXTRA = ServiceConfig(name="extra", upstream="http://extra", hosts=("extra.tv.example",))
REST = ServiceConfig(name="rest", upstream="http://rest:8000/base")


def services(*configs: ServiceConfig) -> Services:
    return Services(EdgeConfig(services=configs))


def name_of(host: str, target: str) -> str | None:
    found = services(REST, VOD, LIVE, EXTRA).match(host, target)
    return found.name if found is not None else None


@pytest.mark.parametrize(
    ("host", "target", "name"),
    [
        ("tv.example", "/live/1", "live"),
        ("tv.example", "/live", "live"),
        ("tv.example", "/live?x", "live"),
        ("tv.example", "/lively", "vod"),
        ("tv.example", "/Live/1", "vod"),
        ("tv.example", "/%6Cive/1", "vod"),
        ("TV.Example:8080", "/live/1", "live"),
        ("tv.example.", "/live/1", "live"),
        ("a.tv.example", "/live/1", "live"),
        ("a.b.tv.example", "/x", "vod"),
        ("atv.example", "/x", "rest"),
        ("extra.tv.example", "/x", "extra"),
        ("extra.tv.example", "/live/1", "extra"),
        ("[::1]:80", "/live/1", "rest"),
        ("", "/live/1", "rest"),
    ],
)
def test_the_closest_host_and_then_the_longest_path_win(host: str, target: str, name: str) -> None:
    assert name_of(host, target) == name


def test_a_service_of_the_wildcard_takes_what_the_own_one_lacks() -> None:
    some = services(
        VOD, ServiceConfig(name="a", upstream="http://a", hosts=("a.tv.example",), path="/a")
    )
    for target, name in (("/a/1", "a"), ("/b", "vod")):
        found = some.match("a.tv.example", target)
        assert found is not None
        assert found.name == name


def test_odd_hosts_are_not_remembered_for_ever() -> None:
    some = services(VOD, LIVE)
    for number in range(HOSTS_REMEMBERED_MAX + 10):
        some.match(f"{number}.example", "/")
    assert len(some._candidates) <= HOSTS_REMEMBERED_MAX


@pytest.mark.parametrize(
    ("host", "target", "status"), [("other.example", "/", 421), ("tv.example", "/x", 404)]
)
def test_what_no_service_has_is_refused(host: str, target: str, status: int) -> None:
    bench = Bench(services=(LIVE,))
    answer = one(bench.ask(target, (("host", host),)), ServeText)
    assert answer.status == status


# Keys


def key(rules: KeyRules, target: str, host: str = "tv.example") -> str:
    service = ServiceConfig(name="a", upstream="http://o/p", hosts=("*.example",), key=rules)
    found = services(service).key_of(host, target)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    ("rules", "target", "expected"),
    [
        (KeyRules(), "/a?b=1&a=2", "/a?b=1&a=2"),
        (KeyRules(), "/a?CMCD=x&b=1", "/a?b=1"),
        (KeyRules(), "/a?", "/a?"),
        (KeyRules(sort=True), "/a?b=1&a=2&b=0", "/a?a=2&b=1&b=0"),
        (KeyRules(sort=True), "/a?b&CMCD=x", "/a?b"),
        (KeyRules(query=QueryRule(allow=("v",))), "/a?x=1&v=2&v=1&V=3", "/a?v=2&v=1"),
        (KeyRules(query=QueryRule(allow=())), "/a?x=1", "/a"),
        (KeyRules(query=QueryRule(allow=("CMCD",))), "/a?CMCD=1", "/a"),
        (KeyRules(query=QueryRule(ignore=("utm",))), "/a?utm=1&v=2&utm", "/a?v=2"),
        (KeyRules(query=QueryRule(ignore=("utm",))), "/a?utm%5F=1&utmx=1", "/a?utm%5F=1&utmx=1"),
        (KeyRules(query=QueryRule(ignore=("utm",))), "/a?x=utm=1;utm=1", "/a?x=utm=1;utm=1"),
    ],
)
def test_what_of_the_query_counts(rules: KeyRules, target: str, expected: str) -> None:
    assert key(rules, target) == "http://o/p" + expected


def test_hosts_may_have_objects_of_their_own() -> None:
    rules = KeyRules(host=True)
    assert key(rules, "/a", "A.example:80") == "http://a.example/p/a"
    some = services(
        ServiceConfig(name="a", upstream="http://o:8/p", hosts=("*.example",), key=rules)
    )
    service = some.of_url("http://b.example/p/a")
    assert service is not None
    destination = service.destination("http://b.example/p/a?q")
    assert (destination.upstream.host, destination.upstream.port) == ("o", 8)
    assert (destination.target, destination.host) == ("/p/a?q", "b.example")
    assert some.of_url("http://o:8/p/a") is None
    assert some.of_url("http://b.other/p/a") is None


def test_what_does_not_count_is_not_fetched_and_the_whole_is_passed_on() -> None:
    service = ServiceConfig(
        name="a", upstream="http://o", key=KeyRules(query=QueryRule(ignore=("utm",)))
    )
    bench = Bench(services=(service,))
    assert one(bench.ask("/a?utm=1&v=2"), StartFill).url == "http://o/a?v=2"
    assert bench.ask("/a?v=2&utm=9") == []
    passed = one(bench.ask("/a?utm=1", (("cookie", "x"),)), PassThrough)
    assert passed.url == "http://o/a?utm=1"


def test_a_dangerous_target_is_refused_wherever_the_danger_is() -> None:
    service = ServiceConfig(
        name="a", upstream="http://o", key=KeyRules(query=QueryRule(allow=("v",)))
    )
    bench = Bench(services=(service,))
    for target in ("/a?x=%0a", "/a?x#v", "/../a", "/a/%2e%2e/b", "/a\\b"):
        assert one(bench.ask(target), ServeText).status == 400


# URLs back to services


def test_a_url_says_whose_it_is() -> None:
    some = services(REST, VOD, LIVE)
    for url, name in (
        ("http://live:81/l/live/1", "live"),
        ("http://live:81/l/other", None),
        ("http://vod/x", "vod"),
        ("http://vod:80/x", None),
        ("http://vod.evil/x", None),
        ("http://vod@evil/x", None),
        ("https://vod/x", None),
        ("http://rest:8000/base/x", "rest"),
        ("http://rest:8000/basement", None),
        ("http://rest:8000/base", None),
        ("http://[::1", None),
        ("ftp://vod/x", None),
        ("", None),
    ):
        found = some.of_url(url)
        assert (found.name if found is not None else None) == name, url


def test_paths_of_one_upstream_may_have_services_of_their_own() -> None:
    some = services(
        ServiceConfig(name="a", upstream="http://o"),
        ServiceConfig(name="b", upstream="http://o", path="/b/"),
    )
    for target, name in (("/b/1", "b"), ("/b", "a"), ("/a", "a")):
        found = some.key_of("any", target)
        assert found is not None
        service, url = found
        assert service.name == name
        assert some.of_url(url) is service


def test_manifests_may_name_objects_as_clients_do() -> None:
    some = services(REST, VOD, LIVE)
    assert some.canonical("https://tv.example/live/1.m4s") == "http://live:81/l/live/1.m4s"
    assert some.canonical("http://vod/1.m4s?CMCD=x") == "http://vod/1.m4s"
    assert some.canonical("https://elsewhere.example/1.m4s") is None


@pytest.mark.parametrize(
    ("some", "reason"),
    [
        ((REST, ServiceConfig(name="b", upstream="http://b")), "same host and path"),
        (
            (VOD, ServiceConfig(name="b", upstream="http://b", hosts=("tv.example",))),
            "same host and path",
        ),
        (
            (VOD, ServiceConfig(name="b", upstream="http://vod", hosts=("b.example",))),
            "fetches the same URLs as vod",
        ),
        (
            (REST, ServiceConfig(name="b", upstream="http://rest:8000", hosts=("b.example",))),
            "fetches the same URLs as rest",
        ),
        (
            (
                ServiceConfig(name="a", upstream="http://b.example"),
                ServiceConfig(
                    name="b",
                    upstream="http://o",
                    hosts=("*.example",),
                    key=KeyRules(host=True),
                ),
            ),
            "fetches the same URLs as a",
        ),
    ],
)
def test_services_that_could_be_mistaken_are_refused(
    some: tuple[ServiceConfig, ...], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        services(*some)


def test_two_hosts_of_one_upstream_may_keep_apart() -> None:
    rules = KeyRules(host=True)
    some = services(
        *(
            ServiceConfig(name=name, upstream="http://o", hosts=(f"{name}.example",), key=rules)
            for name in ("a", "b")
        ),
        ServiceConfig(name="w", upstream="http://o", hosts=("*.example",), key=rules),
    )
    for name, host in (("a", "a.example"), ("b", "b.example"), ("w", "c.example")):
        found = some.key_of(host, "/x")
        assert found is not None
        assert found[0].name == name
        assert some.of_url(found[1]) is found[0]


# Fields


def test_upstream_is_told_what_the_service_allows_and_nothing_else() -> None:
    service = ServiceConfig(
        name="a", upstream="http://o", request_headers_allow=("accept-language", "x-device")
    )
    bench = Bench(services=(service,))
    started = one(
        bench.ask(
            "/a",
            (
                ("host", "evil.example"),
                ("x-forwarded-host", "evil.example"),
                ("x-original-url", "/admin"),
                ("x-http-method-override", "DELETE"),
                ("x-device", "tv"),
                ("accept", "*/*"),
                ("accept-language", "de"),
                ("range", "bytes=0-1"),
            ),
        ),
        StartFill,
    )
    assert dict(started.headers) == {
        "accept-language": "de",
        "x-device": "tv",
        "accept-encoding": "identity",
    }


def test_all_fields_may_be_allowed_but_those_that_are_the_nodes_own() -> None:
    service = ServiceConfig(name="a", upstream="http://o", request_headers_allow=("*",))
    bench = Bench(services=(service,))
    fields = (
        ("host", "evil.example"),
        ("x-any", "1"),
        ("if-none-match", '"x"'),
        ("range", "bytes=0-1"),
        ("cmcd-request", "bl=1"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("accept-encoding", "br"),
    )
    started = one(bench.ask("/a", fields), StartFill)
    assert dict(started.headers) == {"x-any": "1", "accept-encoding": "identity"}


def test_answers_that_differ_by_what_was_not_sent_are_for_one_client() -> None:
    bench = Bench()
    varied = (*MAX_AGE, ("vary", "x-device"))
    bench.head(bench.ask("/a", (("x-device", "tv"),)), varied)
    service = ServiceConfig(name="a", upstream="http://o", request_headers_allow=("x-device",))
    for some, kind in (((), PassThrough), ((service,), ServeFill)):
        bench = Bench(services=some) if some else Bench()
        effects = bench.head(bench.ask("/a", (("x-device", "tv"),)), varied)
        one(effects, kind)


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({}, {"x-a", "x-b"}),
        ({"response_headers_deny": ("x-a",)}, {"x-b", "cache-tag"}),
        ({"response_headers_allow": ("x-a",)}, {"x-a"}),
        ({"response_headers_deny": ()}, {"x-a", "x-b", "cache-tag"}),
    ],
)
def test_clients_get_what_the_service_shows(
    fields: dict[str, tuple[str, ...]], shown: set[str]
) -> None:
    bench = Bench(services=(ServiceConfig(name="a", upstream="http://o", **fields),))  # type: ignore[arg-type]
    started = bench.ask()
    headers = (*MAX_AGE, ("x-a", "1"), ("x-b", "1"), ("cache-tag", "t"), ("content-type", "a/b"))
    filled = one(bench.head(started, headers), ServeFill)
    bench.end(started)
    hit = bench.hit()
    assert hit is not None
    for answer in (filled, hit):
        names = {name for name, _ in answer.headers}
        assert names & {"x-a", "x-b", "cache-tag"} == shown
        assert {"content-type", "etag", "cache-control", "content-length"} <= names


def test_services_have_times_of_their_own() -> None:
    some = (
        ServiceConfig(name="a", upstream="http://a", hosts=("a",), default_freshness_s=10.0),
        ServiceConfig(name="b", upstream="http://b", hosts=("b",)),
    )
    bench = Bench(services=some)
    for host in ("a", "b"):
        started = bench.ask("/", (("host", host),))
        bench.head(started, (("etag", '"v1"'),))
        bench.end(started)
    bench.now_s = 11.0
    assert bench.hit("/", (("host", "a"),)) is None
    assert bench.hit("/", (("host", "b"),)) is not None


# Addresses


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1%eth0",
        "fc00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "not an address",
    ],
)
def test_addresses_of_this_machine_and_network_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("upstream", "allow", "may"),
    [
        ("http://origin.example", False, False),
        ("http://origin.example", True, True),
        ("http://127.0.0.1:1", False, True),
        ("http://[::1]:1", False, True),
        ("http://localhost:1", False, True),
    ],
)
def test_private_addresses_only_where_they_are_meant(upstream: str, allow: bool, may: bool) -> None:
    (service,) = services(ServiceConfig(name="a", upstream=upstream, allow_private=allow)).all
    assert service.target.may_connect("127.0.0.1") is may
    assert service.target.may_connect("1.1.1.1")


# What is fetched ahead


def test_each_service_is_asked_for_its_catalogue_once() -> None:
    some = services(
        VOD,
        LIVE,  # its path holds no catalogue
        ServiceConfig(name="b", upstream="http://vod", hosts=VOD.hosts, path="/b"),
        REST,
    )
    assert some.catalog_urls() == ("http://vod/v1/catalog", "http://rest:8000/base/v1/catalog")


def test_catalogues_of_several_services_are_known_together() -> None:
    some = services(VOD, REST)
    successors = Successors(some)

    def learn(base_url: str, *paths: str) -> None:
        titles = tuple(
            TitleEntry(
                id=path,
                name=path,
                duration_s=1.0,
                dash=path,
                hls=path + ".m3u8",
                series="s",
                season_no=1,
                episode_no=number,
            )
            for number, path in enumerate(paths, 1)
        )
        catalog = Catalog(revision="1", titles=titles)
        successors.learn(CatalogLearned(base_url=base_url, catalog=catalog))

    vod, rest = some.catalog_urls()
    learn(vod, "/a", "https://tv.example/b", "http://elsewhere/c")
    learn(rest, "/base/a", "/base/b")
    assert successors.after("http://vod/a") == "http://vod/b"
    assert successors.after("http://vod/b") is None
    assert successors.before("http://rest:8000/base/b") == "http://rest:8000/base/a"
    successors.keep_only((rest,))
    assert successors.after("http://vod/a") is None
    assert successors.after("http://rest:8000/base/a") is not None
