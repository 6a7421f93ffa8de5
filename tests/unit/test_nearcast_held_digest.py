"""The digest of held titles, as edges pack it and origins read it."""

from __future__ import annotations

import google_crc32c

from nearcast.held_digest import BYTES_MAX, TITLES_MAX, pack, sum_of, unpack


def test_a_digest_names_each_title_once_in_rising_order() -> None:
    sums = [sum_of(name) for name in ("film", "other", "film")]
    assert sum_of("film") == google_crc32c.value(b"film")
    packed = pack(sums)
    assert packed == b"".join(one.to_bytes(4, "little") for one in sorted(set(sums)))
    assert unpack(packed).tolist() == sorted(set(sums))


def test_of_too_many_titles_the_smallest_sums_are_told() -> None:
    packed = pack(range(TITLES_MAX + 9, 0, -1))
    assert len(packed) == BYTES_MAX
    assert unpack(packed).tolist() == list(range(1, TITLES_MAX + 1))


def test_what_an_edge_tells_out_of_order_or_twice_is_put_right() -> None:
    told = b"".join(one.to_bytes(4, "little") for one in (7, 3, 7))
    assert unpack(told).tolist() == [3, 7]
