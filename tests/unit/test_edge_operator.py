"""What an operator says is done as it was meant, or refused with a reason."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cache.http.headers import get_one
from edge.config import EdgeConfig, ServiceConfig
from edge.drivers.store.disk import DiskStore
from edge.effects import ServeObject
from edge.services import Services
from nearcast.cache_status import parse_cache_status
from tests.edge_bench import MAX_AGE, Bench, one
from tests.store_victim import described


@pytest.mark.parametrize(
    "name", ["accept-encoding", "cache-control", "if-none-match", "pragma", "via", "cmcd-object"]
)
def test_field_that_is_never_sent_on_cannot_be_allowed(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is never sent on"):
        ServiceConfig(name="a", upstream="http://o", request_headers_allow=("origin", name))


def test_a_slash_purges_everything_whichever_service_it_is_of() -> None:
    services = Services(
        EdgeConfig(
            services=(
                ServiceConfig(name="a", upstream="http://a", hosts=("a.example",)),
                ServiceConfig(name="b", upstream="http://b", path="/b"),
            )
        )
    )
    assert "http://a/x".startswith(services.purge_prefixes("/"))
    assert "http://b/b/x".startswith(services.purge_prefixes("/"))
    assert "" not in services.purge_prefixes("http://a.example/")


def test_what_the_store_makes_is_for_its_own_user(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        store = DiskStore(tmp_path / "store")
        store.open()
        store.scan()
        body = b"private"
        store.put(described("0a", body), [body])
        store.flush()
        store.close()
    finally:
        os.umask(before)
    made = [tmp_path / "store", *(tmp_path / "store").rglob("*")]
    assert len(made) == 5  # the marker, the index, the folder of bodies, a volume
    assert [path.name for path in made if path.stat().st_mode & 0o077] == []


@pytest.mark.parametrize("upstream", ["http://user:hunter2@h/", "ftp://user:hunter2@h/"])
def test_password_in_an_upstream_is_refused_and_not_repeated(upstream: str) -> None:
    with pytest.raises(ValueError, match="must not hold a user") as refusal:
        ServiceConfig(name="a", upstream=upstream)
    assert "hunter2" not in str(refusal.value)


def test_cache_status_of_upstream_that_cannot_be_read_does_not_spoil_ours() -> None:
    for before in ('evil; hit, "x', "theirs; hit"):
        bench = Bench()
        bench.store(headers=(*MAX_AGE, ("cache-status", before)))
        line = get_one(one(bench.ask(), ServeObject).headers, "cache-status")
        assert line is not None
        caches = [entry.cache for entry in parse_cache_status(line)]
        assert caches == (["nearcast"] if "evil" in before else ["theirs", "nearcast"])
