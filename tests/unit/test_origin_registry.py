"""What an origin says it offers, and what edges make of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from nearcast.errors import InputError, RemoteProtocolError
from nearcast.model_index import (
    INDEX_BYTES_MAX,
    INDEX_PATH,
    RELEASES_MAX,
    OfferedFile,
    read_index,
)
from origin.drivers.model_store import ModelStore
from origin.drivers.storage import LibraryFolder
from origin.library import FreshnessConfig
from origin.registry import ModelShelf, Release, Releases, release_name


def release(number: int, *, kind: str = "next-episode") -> Release:
    return Release(
        name=f"m{number}-0123456789ab",
        kind=kind,
        model_id=f"m{number}",
        released_no=number,
        released_wall_s=1_700_000_000.0,
        manifest_sha256=f"{number:064x}",
        signed_by=("0123456789abcdef",),
        files={"model.onnx": OfferedFile(sha256="0" * 64, size_bytes=10 * number)},
    )


def shelf(*found: Release) -> ModelShelf:
    releases = Releases()
    for one in found:
        releases = releases.with_release(one)
    return ModelShelf(releases, FreshnessConfig())


def index_text(one: ModelShelf) -> bytes:
    resource = one.resource(INDEX_PATH)
    assert resource is not None
    assert resource.body is not None
    assert resource.size_bytes == len(resource.body)
    return resource.body


def test_the_index_lists_newest_first_and_by_kind() -> None:
    found = shelf(release(1), release(3), release(2, kind="demand"))
    index = read_index(index_text(found), INDEX_PATH)
    assert [one.model_id for one in index.kinds["next-episode"]] == ["m3", "m1"]
    assert [one.released_no for one in index.kinds["demand"]] == [2]
    assert index.kinds["demand"][0].size_bytes == 20


def test_the_revision_changes_with_the_offer_alone() -> None:
    one, same, other = shelf(release(1)), shelf(release(1)), shelf(release(1), release(2))
    assert one.index.revision == same.index.revision != other.index.revision


def test_only_listed_files_have_a_path() -> None:
    found = shelf(release(1))
    resource = found.resource("/models/m1-0123456789ab/model.onnx")
    assert resource is not None
    assert resource.is_immutable
    assert resource.file == "m1-0123456789ab/model.onnx"
    for path in (
        "/models/m1-0123456789ab/",
        "/models/m1-0123456789ab/../releases.json",
        "/models/releases.json",
        "/models/m1/model.onnx",
    ):
        assert found.resource(path) is None


def test_numbers_go_on_after_the_newest_was_withdrawn() -> None:
    releases = Releases().with_release(release(1)).with_release(release(2))
    left = releases.without(["m2-0123456789ab"])
    assert left.released_no_last == 2
    assert [one.model_id for one in left.releases] == ["m1"]
    assert releases.find("m2") == releases.find("m2-0123456789ab")


def test_a_kind_has_room_for_so_many() -> None:
    releases = Releases()
    for number in range(1, RELEASES_MAX + 1):
        assert not releases.is_full("next-episode")
        releases = releases.with_release(release(number))
    assert releases.is_full("next-episode")
    assert not releases.is_full("demand")
    full = index_text(ModelShelf(releases, FreshnessConfig()))
    assert len(read_index(full, INDEX_PATH).kinds["next-episode"]) == RELEASES_MAX


def test_a_name_follows_manifest_and_signature() -> None:
    names = {
        release_name("m", manifest, signature)
        for manifest in (b"a", b"b")
        for signature in (b"1", b"2")
    }
    assert len(names) == 4
    assert release_name("m", b"a", b"1") in names


OFFER = {
    "model_id": "m1",
    "released_no": 1,
    "size_bytes": 1,
    "url": "/models/m1-0123456789ab/",
    "manifest_sha256": "0" * 64,
    "files": {"model.onnx": {"sha256": "0" * 64, "size_bytes": 1}},
}


def index_of(**changes: object) -> bytes:
    offers = [OFFER | changes]
    whole = {"format_version": 1, "revision": "x", "kinds": {"next-episode": offers}}
    return msgspec.json.encode(whole)


def test_unknown_keys_of_an_index_are_ignored() -> None:
    index = read_index(index_of(advice="new"), "here")
    assert index.kinds["next-episode"][0].model_id == "m1"


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "http://elsewhere.example/models/m1/"},
        {"url": "/models/../m1/"},
        {"url": "/models/m1"},
        {"url": "//elsewhere.example/"},
        {"model_id": "../m1"},
        {"model_id": ".."},
        {"size_bytes": -1},
        {"size_bytes": 10**12},
        {"files": {"../model.onnx": {"sha256": "0" * 64, "size_bytes": 1}}},
        {"files": {"a/b": {"sha256": "0" * 64, "size_bytes": 1}}},
        {"files": {f"f{number}": {"sha256": "0" * 64, "size_bytes": 1} for number in range(99)}},
        {"manifest_sha256": "short"},
    ],
)
def test_an_index_that_points_elsewhere_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(RemoteProtocolError, match="no index of models"):
        read_index(index_of(**changes), "here")


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"\xff", b"[" * 100_000, b'{"format_version": 2, "revision": "", "kinds": {}}'],
)
def test_a_damaged_index_is_refused(text: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="no index of models"):
        read_index(text, "here")


def test_an_oversized_index_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="larger than"):
        read_index(b" " * (INDEX_BYTES_MAX + 1), "here")


def test_a_damaged_list_is_an_input_error(tmp_path: Path) -> None:
    library = LibraryFolder(tmp_path / "library", must_exist=False)
    try:
        store = ModelStore(library)
        assert store.read() == Releases()
        store.folder.mkdir()
        (store.folder / "releases.json").write_bytes(b"{}x")
        with pytest.raises(InputError, match=r"releases\.json is no list of models"):
            store.read()
    finally:
        library.close()
