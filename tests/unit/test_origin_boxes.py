from __future__ import annotations

import struct

import pytest

from nearcast.errors import RemoteProtocolError
from origin.packaging.boxes import BoxSplitter, audio_fragment, find, fragment_times, walk


def box(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def test_an_audio_fragment_reads_back_as_written() -> None:
    samples = [b"abc", b"", b"defgh"]

    fragment = audio_fragment(samples, sequence_no=7, decode_time=2**33, sample_ticks=1024)

    times = fragment_times(fragment)
    assert times.decode_time == times.presentation_start == 2**33
    assert times.presentation_end == 2**33 + 3 * 1024
    assert times.sample_count == 3
    assert times.sync_indices == (0, 1, 2)
    mdat = find(fragment, "mdat")
    assert fragment[mdat.first : mdat.end] == b"abcdefgh"
    trun = find(fragment, "trun")
    data_offset = struct.unpack_from(">i", fragment, trun.first + 8)[0]
    assert data_offset == mdat.first  # counted from the moof, which comes first


@pytest.mark.parametrize("piece_bytes", [1, 3, 7, 1000])
def test_what_is_written_in_any_pieces_is_cut_at_the_boxes(piece_bytes: int) -> None:
    inits: list[bytes] = []
    fragments: list[bytes] = []
    splitter = BoxSplitter(inits.append, fragments.append)
    init = box(b"ftyp", b"isom") + box(b"moov", b"m")
    one = box(b"moof", b"1") + box(b"mdat", b"one")
    two = box(b"moof", b"2") + box(b"mdat", b"two")
    data = init + one + box(b"free", b"xx") + two + box(b"mfra")

    for at in range(0, len(data), piece_bytes):
        piece = data[at : at + piece_bytes]
        assert splitter.write(piece) == len(piece)

    assert inits == [init]
    assert fragments == [one, two]


def test_composition_offsets_and_edit_lists_count() -> None:
    # Two pictures, decoded out of order: durations 10, offsets 30 and 10, edit list 30.
    tfhd = box(b"tfhd", struct.pack(">IIII", 0x020028, 1, 10, 0x00010000))
    tfdt = box(b"tfdt", struct.pack(">IQ", 1 << 24, 100))
    run = struct.pack(">IIiI", 0x805, 2, 0, 0x02000000) + struct.pack(">II", 30, 10)
    fragment = box(b"moof", box(b"traf", tfhd + tfdt + box(b"trun", run)))

    times = fragment_times(fragment, 30)

    assert times.presentation_start == 90
    assert times.presentation_end == 110
    assert times.sync_indices == (0,)


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x00\x00\x04moov",
        b"\xff\xff\xff\xffmoov",
        b"\x00\x00\x00\x10moovabc",
        b"abc",
        box(b"moov", b"\x00\x00\x00\x20trak"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        list(walk(data))
