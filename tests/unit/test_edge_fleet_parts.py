"""Parts of an edge's membership: who it is, what it holds, whom it asks."""

from __future__ import annotations

import stat
from array import array
from pathlib import Path

import google_crc32c
import msgspec
import numpy as np
import pytest

from edge.config import EdgeConfig, FleetConfig
from edge.drivers.fleet.folder import PLANS_MAX, FleetFolder, fleet_folder
from edge.events import FillEnded
from edge.fleet.identity import Identity, decode
from edge.fleet.origins import Origins
from edge.fleet.sources import Sources
from edge.peers import ABSENT, damage_of, why_not_from_peer
from nearcast.errors import ConfigError
from nearcast.fleet import EdgeProfile
from nearcast.placement import Peer
from tests.placed_world import PlacedWorld, planned

IDENTITY = Identity(
    edge="e1",
    key_pem="a key",
    certificate_pem="a certificate",
    authority_pem="an authority",
    plan_keys=("k",),
    origins=("https://o:1",),
    profile=EdgeProfile(url="http://e1:8081", capacity_bytes=1),
)


def test_an_identity_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    folder = FleetFolder(tmp_path / "fleet")
    assert not folder.has_identity
    folder.keep_identity(IDENTITY)
    assert folder.identity() == IDENTITY
    file = tmp_path / "fleet" / "identity.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [one.name for one in (tmp_path / "fleet").iterdir()] == ["identity.json"]
    assert "a key" not in repr(IDENTITY)


@pytest.mark.parametrize("text", [b"", b"{}", b"\xff", b'{"edge": "Not A Name"}'])
def test_a_damaged_identity_says_what_to_do(text: bytes) -> None:
    with pytest.raises(ConfigError, match="--replace"):
        decode(text, "identity.json")


def test_what_is_kept_of_a_plan_survives_damage(tmp_path: Path) -> None:
    folder = FleetFolder(tmp_path)
    assert (folder.plan(), folder.spent()) == (None, {})
    folder.keep_spent("aa", 7)
    assert folder.spent() == {"aa": 7}
    (tmp_path / "spent.json").write_bytes(b"{torn")
    assert folder.spent() == {}


def test_what_was_spent_is_known_of_the_latest_plans(tmp_path: Path) -> None:
    folder = FleetFolder(tmp_path)
    for no in range(2 * PLANS_MAX):
        folder.keep_spent(f"{no:02}", no)
    folder.keep_spent("20", 7)
    assert folder.spent()["20"] == 7
    assert len(folder.spent()) == PLANS_MAX + 1
    assert list(folder.spent())[-1] == "20"


def test_the_spent_file_of_the_version_before_is_read(tmp_path: Path) -> None:
    (tmp_path / "spent.json").write_bytes(b'{"plan_id":"aa","spent_bytes":7}')
    assert FleetFolder(tmp_path).spent() == {"aa": 7}
    FleetFolder(tmp_path).keep_spent("bb", 8)
    text = msgspec.json.decode((tmp_path / "spent.json").read_bytes())
    assert (text["plan_id"], text["spent_bytes"]) == ("bb", 8)  # as that version reads it


def test_the_folder_is_in_the_store_unless_told_otherwise() -> None:
    def folder(**settings: object) -> Path | None:
        return fleet_folder(EdgeConfig(upstream="http://o", **settings))  # type: ignore[arg-type]

    assert folder() is None
    assert folder(store="/s") == Path("/s/fleet")
    assert folder(store="/s", fleet=FleetConfig(folder="/f")) == Path("/f")


def test_the_digest_tells_the_titles_that_can_begin() -> None:
    world = PlacedWorld()
    assert world.core.held_titles() == ("", b"")
    world.follow(world.plan(planned(1), planned(2, until_s=4.0)))
    world.get("/media/e3/manifest.mpd")
    world.core.held_titles()  # each look takes in some more
    held_id, held = world.core.held_titles()
    ids = [
        world.core.telemetry.ids.id_of(f"http://origin:8000/base/media/e{n}/manifest.mpd")
        for n in (1, 2)
    ]
    sums = sorted(google_crc32c.value(one.encode()) for one in ids)
    assert array("I", held).tolist() == sums
    assert len(held_id) == 16
    assert msgspec.json.encode(held)
    assert world.core.held_titles()[1] is held  # made anew when others are held, and only then


def test_a_round_over_many_titles_is_told_when_it_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edge.fleet.digest.LOOKED_AT_MAX", 1)
    world = PlacedWorld()
    world.follow(world.plan(planned(1), planned(2)))
    assert world.core.held_titles()[1] == b""  # it asks for all of it each time that it changes
    assert len(world.core.held_titles()[1]) == 2 * 4


def test_origins_are_asked_in_turn_and_the_known_one_is_kept() -> None:
    origins = Origins(("https://a", "https://b", "http://no-tls"), np.random.default_rng(1))
    assert origins.urls == ("https://a", "https://b")
    origins.failed("https://b")  # not the one that is asked
    assert origins.current == "https://a"
    origins.failed("https://a")
    assert (origins.current, origins.pause_s()) == ("https://b", 0.0)
    assert origins.learn(("https://c", "https://b"))
    assert origins.current == "https://b"
    assert not origins.learn(())
    origins.failed("https://b")
    assert origins.pause_s() > 0.0
    origins.answered(origins.current)
    assert origins.pause_s() == 0.0


def test_a_peer_that_fails_rests_longer_each_time() -> None:
    sources = Sources(is_peer_fill=True)
    world = PlacedWorld()
    plan = world.plan(peers=(Peer(edge="p1", url="http://p1:1/"),))
    sources.follow(plan)
    file = planned(1, from_edges=("p1",))

    def is_asked(now_s: float) -> bool:
        return sources.choose(file, f"u{now_s}", now_s, is_patient=True) == ("p1", "http://p1:1")

    assert is_asked(0.0)
    for number in range(3):
        sources.failed("p1", f"v{number}", 0.0, is_absent=False)
    assert not is_asked(29.0)
    assert is_asked(31.0)
    for number in range(3):
        sources.failed("p1", f"w{number}", 31.0, is_absent=False)
    assert not is_asked(31.0 + 59.0)
    sources.follow(plan)  # the same peers: what is known of them stays
    assert not is_asked(31.0 + 59.0)
    assert is_asked(31.0 + 61.0)


HEAD = (("content-length", "5"), ("etag", '"0000000a-5"'))


@pytest.mark.parametrize(
    ("status", "headers", "bytes_max", "why"),
    [
        (200, HEAD, None, None),
        (504, (), None, ABSENT),
        (302, (("location", "http://evil"),), None, "answered 302"),
        (206, HEAD, None, "answered 206"),
        (200, HEAD[1:], None, "announced no size"),
        (200, (("content-length", "5"), ("content-length", "6")), None, "announced no size"),
        (200, HEAD, 4, "larger than planned"),
        (200, HEAD[:1], None, "no strong entity tag"),
        (200, (HEAD[0], ("etag", 'W/"0000000a-5"')), None, "no strong entity tag"),
        (200, (HEAD[0], ("etag", '"0000000a-6"')), None, "not the size"),
        (200, (*HEAD, ("content-encoding", "gzip")), None, "encoded"),
    ],
)
def test_what_is_taken_from_a_peer(
    status: int, headers: tuple[tuple[str, str], ...], bytes_max: int | None, why: str | None
) -> None:
    found = why_not_from_peer(status, headers, bytes_max)
    assert found == why if found is None or why is None else why in found


def test_a_body_is_held_against_its_checksum() -> None:
    whole = FillEnded(fill_id=1, size_bytes=5, crc32c=10)
    assert damage_of(HEAD, whole) is None
    assert damage_of(HEAD, msgspec.structs.replace(whole, crc32c=11)) is not None
    assert damage_of((("etag", '"v1"'),), whole) is None
