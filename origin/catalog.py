"""What the origin knows about a title: its renditions, the size and checksum of every segment.

Pure data and the rules that need nothing else: identifiers, order, where a title's files are in
URLs, and the views of it that go over the wire (`TitleEntry`, `TitleDetail`, `Presentation`).

URLs never change meaning. A title that is packaged anew gets the next *edition*, and from the
second edition on its rendition ids end in `.e2`, `.e3`, ..., so that a segment that caches hold as
immutable is never another segment's namesake.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable

import msgspec

from nearcast.errors import InputError
from nearcast.media import Presentation, Rendition, Representation, Segment
from nearcast.messages import Catalog, TitleEntry

MEDIA_PREFIX = "/media/"
TITLES_PREFIX = "/v1/titles/"
DASH_NAME = "manifest.mpd"
MASTER_NAME = "master.m3u8"
PLAYLIST_NAME = "playlist.m3u8"
INIT_NAME = "init.mp4"

# Manifests are written relative to themselves, so the base only has to be absolute.
BASE_URL = "http://origin.invalid"

# Ticks per second of the media files: every usual frame rate is exact in the first, AAC in the
# second.
VIDEO_HZ = 90_000
AUDIO_HZ = 48_000

ID_LENGTH_MAX = 80
GENRE_LENGTH_MAX = 40
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,79}")
_EDITION = re.compile(r"\.e[0-9]+\Z")
_NOT_ID = re.compile(r"[^a-z0-9]+")


class SegmentEntry(msgspec.Struct, frozen=True, array_like=True):
    """One segment on disk; an array in the catalogue's database, since there are many."""

    start_s: float
    duration_s: float
    size_bytes: int
    crc32c: int


class RenditionEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A rendition and its bytes. `rendition.id` is the folder its files are in."""

    rendition: Rendition
    init_size_bytes: int
    init_crc32c: int
    segments: tuple[SegmentEntry, ...]

    @property
    def size_bytes(self) -> int:
        return self.init_size_bytes + sum(segment.size_bytes for segment in self.segments)


class Title(msgspec.Struct, frozen=True, kw_only=True):
    """One packaged title. `renditions`: video by rising rate, then audio.

    `folder` is where its files are, relative to the library's media folder; it is empty where
    there are no files (in the simulator).
    """

    id: str
    name: str
    duration_s: float
    created_wall_s: float
    """When it was packaged."""
    released_wall_s: float | None = None
    """When its first edition was; None: that is this one."""
    renditions: tuple[RenditionEntry, ...]
    series: str | None = None
    season_no: int | None = None
    episode_no: int | None = None
    genre: str | None = None
    edition_no: int = 1
    folder: str = ""

    @property
    def size_bytes(self) -> int:
        return sum(entry.size_bytes for entry in self.renditions)

    def rendition(self, rendition_id: str) -> RenditionEntry | None:
        for entry in self.renditions:
            if entry.rendition.id == rendition_id:
                return entry
        return None

    def entry(self) -> TitleEntry:
        """The line of the catalogue."""
        return TitleEntry(
            id=self.id,
            name=self.name,
            duration_s=self.duration_s,
            dash=media_path(self.id, DASH_NAME),
            hls=media_path(self.id, MASTER_NAME),
            series=self.series,
            season_no=self.season_no,
            episode_no=self.episode_no,
            genre=self.genre,
        )

    def detail(self) -> TitleDetail:
        return TitleDetail(
            title=self.entry(),
            created_wall_s=self.created_wall_s,
            edition_no=self.edition_no,
            size_bytes=self.size_bytes,
            renditions=tuple(_rendition_detail(self.id, entry) for entry in self.renditions),
        )

    def presentation(self) -> Presentation:
        """What the manifests say, with URLs below `BASE_URL`."""
        representations = [_representation(self.id, entry) for entry in self.renditions]
        return Presentation(
            url=BASE_URL + media_path(self.id, DASH_NAME),
            duration_s=self.duration_s,
            video=tuple(r for r in representations if r.rendition.kind == "video"),
            audio=tuple(r for r in representations if r.rendition.kind == "audio"),
        )


class FileDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a rendition as `/v1/titles/<id>` shows it; an init has neither start nor
    duration."""

    path: str
    size_bytes: int
    crc32c: str
    start_s: float | None = None
    duration_s: float | None = None


class RenditionDetail(msgspec.Struct, frozen=True, kw_only=True):
    rendition: Rendition
    size_bytes: int
    files: tuple[FileDetail, ...]


class TitleDetail(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one title, for `/v1/titles/<id>`."""

    title: TitleEntry
    created_wall_s: float
    edition_no: int
    size_bytes: int
    renditions: tuple[RenditionDetail, ...]


def media_path(title_id: str, *names: str) -> str:
    return MEDIA_PREFIX + "/".join((title_id, *names))


def segment_name(number: int) -> str:
    """`number` counts from 1."""
    return f"{number}.m4s"


def rendition_folder(rendition_id: str, edition_no: int) -> str:
    return rendition_id if edition_no == 1 else f"{rendition_id}.e{edition_no}"


def slug(text: str) -> str:
    """An identifier made from a name. Raises InputError when nothing of it can be kept."""
    made = _NOT_ID.sub("-", text.lower()).strip("-")[:ID_LENGTH_MAX].rstrip("-")
    if not made:
        raise InputError(f"{text!r} holds no letter or digit to make an id of; give one with --id")
    return made


def rendition_stem(rendition_id: str) -> str:
    """What a rendition would be called in its title's first edition."""
    return _EDITION.sub("", rendition_id)


def check_id(title_id: str) -> str:
    if not _ID.fullmatch(title_id):
        raise InputError(
            f"id {title_id!r}: write it with a-z, 0-9, - and _, starting with a letter or digit, "
            f"at most {ID_LENGTH_MAX} long"
        )
    return title_id


def episode_id(series: str, season_no: int, episode_no: int) -> str:
    return check_id(f"{slug(series)[:60]}-s{season_no:02d}e{episode_no:02d}")


def series_key(name: str) -> str:
    """What two spellings of a series share: `Harbour` and ` harbour` are one."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def checked_genre(text: str) -> str:
    """A genre as it is kept: `Crime` and ` crime` are one. Raises InputError."""
    genre = re.sub(" +", " ", unicodedata.normalize("NFKC", text).lower()).strip(" ")
    if not 0 < len(genre) <= GENRE_LENGTH_MAX or not genre.isprintable():
        raise InputError(
            f"genre {text[: 2 * GENRE_LENGTH_MAX]!r}: write it with 1 to {GENRE_LENGTH_MAX} "
            "letters, digits, signs and spaces"
        )
    return genre


def catalog_of(editions: Iterable[tuple[TitleEntry, int]]) -> Catalog:
    """The catalogue of these titles and their edition numbers: films by name, then series in the
    order of their episodes."""
    ordered = sorted(
        editions,
        key=lambda pair: (
            pair[0].series or "",
            pair[0].season_no or 0,
            pair[0].episode_no or 0,
            pair[0].name,
            pair[0].id,
        ),
    )
    revision = hashlib.sha256(msgspec.json.encode(ordered)).hexdigest()[:16]
    return Catalog(revision=revision, titles=tuple(entry for entry, _ in ordered))


def _representation(title_id: str, entry: RenditionEntry) -> Representation:
    folder = BASE_URL + media_path(title_id, entry.rendition.id) + "/"
    return Representation(
        rendition=entry.rendition,
        init=Segment(
            url=folder + INIT_NAME, start_s=0.0, duration_s=0.0, size_bytes=entry.init_size_bytes
        ),
        segments=tuple(
            Segment(
                url=folder + segment_name(number),
                start_s=segment.start_s,
                duration_s=segment.duration_s,
                size_bytes=segment.size_bytes,
            )
            for number, segment in enumerate(entry.segments, start=1)
        ),
    )


def _rendition_detail(title_id: str, entry: RenditionEntry) -> RenditionDetail:
    files = [
        FileDetail(
            path=media_path(title_id, entry.rendition.id, INIT_NAME),
            size_bytes=entry.init_size_bytes,
            crc32c=f"{entry.init_crc32c:08x}",
        )
    ]
    files += [
        FileDetail(
            path=media_path(title_id, entry.rendition.id, segment_name(number)),
            size_bytes=segment.size_bytes,
            crc32c=f"{segment.crc32c:08x}",
            start_s=segment.start_s,
            duration_s=segment.duration_s,
        )
        for number, segment in enumerate(entry.segments, start=1)
    ]
    return RenditionDetail(
        rendition=entry.rendition, size_bytes=entry.size_bytes, files=tuple(files)
    )
