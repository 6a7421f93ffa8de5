from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import google_crc32c
import msgspec
import pytest

from nearcast.errors import InputError
from nearcast.media import Rendition
from origin.catalog import RenditionEntry, SegmentEntry, Title
from origin.drivers.model_store import ModelStore, OnDisk
from origin.drivers.shelves import DiskLibrary
from origin.drivers.storage import LibraryFolder, StagingFolder, disk_error
from origin.library import FreshnessConfig


def make_title(title_id: str = "tide", **changes: object) -> Title:
    title = Title(
        id=title_id,
        name=title_id.capitalize(),
        duration_s=2.0,
        created_wall_s=1_767_225_600.0,
        renditions=(
            RenditionEntry(
                rendition=Rendition(
                    id="90p", kind="video", codecs="avc1", peak_kbps=1.0, average_kbps=1.0
                ),
                init_size_bytes=4,
                init_crc32c=google_crc32c.value(b"init"),
                segments=(
                    SegmentEntry(
                        start_s=0.0,
                        duration_s=2.0,
                        size_bytes=3,
                        crc32c=google_crc32c.value(b"one"),
                    ),
                ),
            ),
        ),
    )
    return msgspec.structs.replace(title, **changes)


def fill(staged: StagingFolder) -> None:
    folder = staged.folder / "90p"
    folder.mkdir()
    (folder / "init.mp4").write_bytes(b"init")
    (folder / "1.m4s").write_bytes(b"one")


def add(library: LibraryFolder, title: Title, *, replace: bool = False) -> Title:
    with library.stage() as staged:
        fill(staged)
        return library.commit(staged, title, replace=replace)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[LibraryFolder]:
    folder = LibraryFolder(tmp_path / "library", must_exist=False)
    yield folder
    folder.close()


def names(library: LibraryFolder, folder: str) -> list[str]:
    return sorted(path.name for path in (library.folder / folder).iterdir())


def test_a_committed_title_reads_back_whole(library: LibraryFolder) -> None:
    title = add(library, make_title(series="Sea", season_no=1, episode_no=2))

    assert library.database.title("tide") == title
    assert title.edition_no == 1
    assert names(library, "media") == [title.folder]
    assert names(library, "staging") == []
    assert [(t.id, damages) for t, damages in library.verify()] == [("tide", ())]


def test_an_abandoned_title_leaves_nothing(library: LibraryFolder) -> None:
    with library.stage() as staged:
        fill(staged)

    assert names(library, "staging") == names(library, "media") == []
    assert library.database.lines() == ()


def test_an_id_is_taken_once(library: LibraryFolder) -> None:
    first = add(library, make_title())

    with pytest.raises(InputError, match="already"):
        add(library, make_title())

    assert names(library, "media") == [first.folder]


def test_a_replacement_gets_urls_of_its_own_even_after_a_removal(library: LibraryFolder) -> None:
    add(library, make_title())
    second = add(library, make_title(), replace=True)
    library.remove("tide")
    third = add(library, make_title())

    assert second.renditions[0].rendition.id == "90p.e2"
    assert third.renditions[0].rendition.id == "90p.e3"
    assert names(library, "media") == [third.folder]
    assert not any(damages for _, damages in library.verify())


def test_a_replacement_was_released_when_its_first_edition_was(library: LibraryFolder) -> None:
    first = add(library, make_title())
    later_wall_s = first.created_wall_s + 9_000.0
    add(library, make_title(created_wall_s=later_wall_s), replace=True)

    again = library.database.title("tide")
    assert again is not None
    assert (again.created_wall_s, again.released_wall_s) == (later_wall_s, first.created_wall_s)
    (line,) = library.database.lines()
    assert line.released_wall_s == first.created_wall_s


def test_an_episode_has_one_place(library: LibraryFolder) -> None:
    place = {"series": "Sea", "season_no": 1, "episode_no": 1}
    add(library, make_title("one", **place))

    with pytest.raises(InputError, match="'one'"):
        library.database.check_free("two", ("sea", 1, 1), replace=False)
    with pytest.raises(InputError):
        add(library, make_title("two", **place))
    assert len(names(library, "media")) == 1


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(library: LibraryFolder) -> None:
    title = add(library, make_title())
    (library.folder / "staging" / "dead").mkdir()
    (library.folder / "staging" / "dead.lock").touch()
    (library.folder / "staging" / "lockless").mkdir()
    (library.media / "half.12345678").mkdir()

    with library.stage() as living:
        assert library.sweep() == 3
        assert living.folder.is_dir()

    assert names(library, "media") == [title.folder]
    assert names(library, "staging") == []


def test_verify_finds_what_is_damaged_missing_or_short(library: LibraryFolder) -> None:
    folder = library.media / add(library, make_title()).folder / "90p"
    (folder / "1.m4s").write_bytes(b"onx")
    (folder / "init.mp4").unlink()

    ((_, damages),) = library.verify()

    assert {damage.path.rpartition("/")[2] for damage in damages} == {"1.m4s", "init.mp4"}
    assert any("checksum" in damage.reason for damage in damages)


def test_a_running_origin_sees_titles_come_and_go(library: LibraryFolder) -> None:
    models = OnDisk(ModelStore(library), FreshnessConfig())
    served = DiskLibrary(library.database, library.media, models, FreshnessConfig())
    path = "/media/tide/90p/1.m4s"
    assert served.resource(path) is None

    add(library, make_title())
    assert served.refresh()
    resource = served.resource(path)
    assert resource is not None
    assert served.file(resource).read_bytes() == b"one"
    assert not served.refresh()

    library.remove("tide")
    assert served.refresh()
    assert served.resource(path) is None


def test_a_folder_that_is_no_library_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no library at"):
        LibraryFolder(tmp_path / "none", must_exist=True)
    with pytest.raises(InputError, match="is no library"):
        LibraryFolder(tmp_path, must_exist=True)


def test_a_catalogue_that_is_garbage_is_refused(tmp_path: Path) -> None:
    (tmp_path / "catalog.db").write_bytes(b"this is not a database, " * 100)

    with pytest.raises(InputError, match=r"catalog\.db"):
        LibraryFolder(tmp_path, must_exist=True)


def test_a_full_disk_is_told_in_words(tmp_path: Path) -> None:
    error = disk_error(OSError(errno.ENOSPC, "No space left on device"), tmp_path)

    assert "is full" in str(error)
    assert error.exit_code == 2
