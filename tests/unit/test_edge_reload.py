"""Which new settings hold at once, and which wait for a restart."""

from __future__ import annotations

from edge.config import EdgeConfig, HttpConfig, ServerConfig, ServiceConfig, ServiceRules
from edge.effects import Commit, DropObject, ServeObject, ServeText, StartFill
from edge.events import Reconfigured
from edge.reload import plan
from tests.edge_bench import UPSTREAM, Bench, one

OLD = EdgeConfig(upstream=UPSTREAM)


def test_nothing_changed_is_nothing_to_do() -> None:
    change = plan(OLD, EdgeConfig(upstream=UPSTREAM))
    assert (change.config, change.changed, change.waiting) == (OLD, (), ())


def test_live_ones_change_and_others_are_named() -> None:
    new = EdgeConfig(
        upstream="http://other",
        name="other",
        memory_bytes=1,
        http=HttpConfig(fills_max=3),
        server=ServerConfig(idle_s=1.0, reuse_port=True),
        service=ServiceRules(default_freshness_s=1.0),
        admin_token_file="t",
    )
    change = plan(OLD, new)
    assert set(change.changed) == {
        "upstream",
        "name",
        "memory_bytes",
        "http.fills_max",
        "server.idle_s",
        "server.reuse_port",
        "service.default_freshness_s",
        "admin_token_file",
    }
    assert change.waiting == ("memory_bytes", "name", "server.reuse_port")
    config = change.config
    assert (config.name, config.memory_bytes) == (OLD.name, OLD.memory_bytes)
    assert (config.upstream, config.http.fills_max) == ("http://other", 3)
    assert (config.server.idle_s, config.server.reuse_port) == (1.0, False)
    # What waits is named again next time, until it is taken over or taken back.
    assert plan(config, new).changed == change.waiting


def test_services_come_and_go() -> None:
    new = EdgeConfig(services=(ServiceConfig(name="a", upstream="http://a"),))
    change = plan(OLD, new)
    assert change.waiting == ()
    assert {"upstream", "services[0].name", "services[0].upstream"} <= set(change.changed)
    assert plan(new, OLD).config == OLD


def test_core_goes_by_other_services_at_once() -> None:
    bench = Bench()
    stored = bench.store().stored
    started = bench.ask("/under-way")
    new = EdgeConfig(services=(ServiceConfig(name="a", upstream="http://a", hosts=("a",)),))
    effects = bench.feed(Reconfigured(config=new))
    assert one(effects, DropObject).object_id == stored.object_id
    assert one(bench.ask(), ServeText).status == 421
    assert one(bench.ask("/x", (("host", "a"),)), StartFill).url == "http://a/x"
    # What was being fetched goes to who waits, and is not kept.
    bench.head(started)
    assert not any(isinstance(effect, Commit) for effect in bench.end(started))
    assert bench.core.status(0.0).services == ("a",)
    bench.feed(Reconfigured(config=EdgeConfig(upstream=UPSTREAM)))
    one(bench.ask(), StartFill)


def test_core_goes_by_other_times_at_once() -> None:
    bench = Bench()
    bench.store(headers=(("etag", '"1"'),))
    assert bench.hit() is not None
    for seconds, is_hit in ((0.0, False), (60.0, True)):
        rules = ServiceRules(default_freshness_s=seconds)
        bench.feed(Reconfigured(config=EdgeConfig(upstream=UPSTREAM, service=rules)))
        assert (bench.hit() is not None) is is_hit


def test_core_goes_by_other_limits_at_once() -> None:
    bench = Bench()
    limits = HttpConfig(fills_max=1, stale_if_error_s=0.0)
    server = ServerConfig(target_length_max=5)
    bench.feed(Reconfigured(config=EdgeConfig(upstream=UPSTREAM, http=limits, server=server)))
    one(bench.ask("/a"), StartFill)
    assert one(bench.ask("/b"), ServeText).status == 503
    assert one(bench.ask("/bbbbbb"), ServeText).status == 414


def test_what_is_stored_stays_where_its_service_does() -> None:
    bench = Bench()
    bench.store()
    service = ServiceConfig(name="renamed", upstream=UPSTREAM)
    bench.feed(Reconfigured(config=EdgeConfig(services=(service,))))
    assert isinstance(bench.hit(), ServeObject)


def test_no_part_of_the_core_keeps_old_settings() -> None:
    old = HttpConfig()
    bench = Bench(http=old)
    bench.store()
    bench.feed(Reconfigured(config=EdgeConfig(upstream=UPSTREAM, http=HttpConfig(fills_max=7))))
    keepers: list[str] = []
    seen: set[int] = set()
    waiting: list[tuple[str, object]] = [("core", bench.core)]
    while waiting:
        name, thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if thing is old:
            keepers.append(name)
        elif isinstance(thing, dict):
            waiting += [(f"{name}[]", value) for value in thing.values()]
        elif isinstance(thing, list | tuple | set):
            waiting += [(f"{name}[]", value) for value in thing]
        elif type(thing).__module__.startswith("edge."):
            fields = vars(thing) if hasattr(thing, "__dict__") else {}
            waiting += [(f"{name}.{field}", value) for field, value in fields.items()]
            names = getattr(type(thing), "__slots__", ())
            waiting += [(f"{name}.{one}", getattr(thing, one, None)) for one in names]
    assert keepers == []
