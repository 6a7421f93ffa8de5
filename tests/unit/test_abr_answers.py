"""Which answers are taken, and which of their bytes count."""

from __future__ import annotations

import pytest

from abr.answers import SLICE_BYTES_MAX, judge
from abr.events import ResponseStarted
from nearcast.media import ByteRange

WANTED = ByteRange(100, 199)
REST = ByteRange(150, 199)


def head(status: int = 200, **more: object) -> ResponseStarted:
    return ResponseStarted(request_id=1, status=status, url="http://x/", **more)  # type: ignore[arg-type]


def test_whole_file_where_it_was_asked_for() -> None:
    verdict = judge(head(size_bytes=500), None, None)
    assert (verdict.complaint, verdict.size_bytes, verdict.stop_bytes) == ("", 500, None)


def test_range_as_asked_for() -> None:
    verdict = judge(head(206, size_bytes=100, content_range=WANTED), WANTED, WANTED)
    assert (verdict.complaint, verdict.size_bytes, verdict.skip_bytes) == ("", 100, 0)


def test_range_without_length_is_as_long_as_it_says() -> None:
    assert judge(head(206, content_range=WANTED), WANTED, WANTED).size_bytes == 100


@pytest.mark.parametrize(
    "came", [ByteRange(0, 99), ByteRange(100, 198), ByteRange(100, 200), ByteRange(99, 199)]
)
def test_another_range_than_asked_for_is_damage(came: ByteRange) -> None:
    assert "instead of 100-199" in judge(head(206, content_range=came), WANTED, WANTED).complaint


def test_length_that_contradicts_the_range_is_damage() -> None:
    verdict = judge(head(206, size_bytes=99, content_range=WANTED), WANTED, WANTED)
    assert "99 bytes came" in verdict.complaint


def test_part_where_all_was_asked_for_is_damage() -> None:
    assert judge(head(206, content_range=ByteRange(0, 9)), None, None).complaint


@pytest.mark.parametrize("size_bytes", [200, 10_000, None])
def test_whole_file_instead_of_a_range_gives_the_slice(size_bytes: int | None) -> None:
    verdict = judge(head(size_bytes=size_bytes), WANTED, WANTED)
    assert (verdict.complaint, verdict.skip_bytes, verdict.stop_bytes) == ("", 100, 200)


def test_range_under_status_200_is_taken() -> None:
    verdict = judge(head(size_bytes=100), WANTED, WANTED)
    assert (verdict.complaint, verdict.skip_bytes, verdict.stop_bytes) == ("", 0, None)


def test_file_that_ends_before_the_range_is_damage() -> None:
    assert "the file has 150 bytes" in judge(head(size_bytes=150), WANTED, WANTED).complaint


def test_slice_too_far_into_the_file_ends_it() -> None:
    far = ByteRange(SLICE_BYTES_MAX, SLICE_BYTES_MAX + 9)
    verdict = judge(head(), far, far)
    assert verdict.is_final
    assert "ignores Range" in verdict.complaint


def test_rest_after_a_break_is_gone_on_with_or_starts_over() -> None:
    rest = judge(head(206, size_bytes=50, content_range=REST), REST, WANTED)
    assert (rest.complaint, rest.starts_over, rest.size_bytes) == ("", False, 50)
    changed = judge(head(200, size_bytes=900), ByteRange(50, 99), None)
    assert (changed.complaint, changed.starts_over, changed.size_bytes) == ("", True, 900)


@pytest.mark.parametrize("kind", ["text/html", "TEXT/HTML; charset=utf-8", "application/xhtml+xml"])
def test_page_with_status_200_is_no_segment(kind: str) -> None:
    assert judge(head(content_type=kind), None, None).complaint


@pytest.mark.parametrize("kind", [None, "", "video/mp4", "text/plain", "application/octet-stream"])
def test_types_that_file_servers_give_media_are_taken(kind: str | None) -> None:
    assert not judge(head(content_type=kind), None, None).complaint
