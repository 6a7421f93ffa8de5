"""One answer's body: counted, decoded where the server coded it unasked, and looked at for damage.

Media is not kept, but what is not media must not be counted as such. An error page is known by its
first bytes; a body that was cut short, whatever its length field said, by its boxes (ISO/IEC
14496-12, 4.2), which say themselves how long they are.
"""

from __future__ import annotations

import zlib
from typing import Final

from nearcast.media import ByteRange

TEXT_BYTES_MAX: Final = 4 * 1024 * 1024
"""As nearcast.manifests reads at most."""
DECODED_BYTES_MAX: Final = 256 * 1024 * 1024
"""Of one media body: far more than a segment has, and an end to what inflates without end."""
DECODE_STEP_BYTES: Final = 1 << 20
SNIFF_BYTES: Final = 64
_WBITS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_FIRST_BOXES: Final = (b"ftyp", b"styp", b"sidx", b"moof", b"emsg", b"prft", b"ssix", b"moov")
_PAGES: Final = (b"<!doctype html", b"<html", b"<head", b"<body")
_BOX_HEAD: Final = 8
_LARGE_HEAD: Final = 16


class DamagedBody(Exception):
    """The body is of no use; the message says why."""


class TooLargeBody(DamagedBody):
    """It will not be smaller next time."""


class Body:
    """Feed it what arrives. `received_bytes` are those of the wire; `kept` is what they mean, if it
    is wanted: of a whole file that came instead of `byte_range`, that range."""

    def __init__(
        self,
        *,
        coding: str,
        byte_range: ByteRange | None,
        is_partial: bool,
        is_resumed: bool,
        keeps: bool,
    ) -> None:
        self.received_bytes = 0
        self._decoder = _decoder(coding)
        if self._decoder is not None and byte_range is not None:
            raise DamagedBody(f"a range of an answer coded as {coding} means nothing")
        self._slice = None if is_partial else byte_range
        self._keeps = keeps
        self._text = bytearray()
        self._decoded_bytes = 0
        self._head = bytearray()
        # The rest of a body has no beginning, and a slice of a file none of its own.
        self._looks = not keeps and not is_resumed and self._slice is None
        self._boxes: BoxWalk | None = None

    @property
    def kept(self) -> bytes:
        wanted = self._slice
        if wanted is None or len(self._text) == wanted.size_bytes:
            return bytes(self._text)
        return bytes(self._text[wanted.first : wanted.last + 1])

    @property
    def is_enough(self) -> bool:
        """What follows is not wanted."""
        wanted = self._slice
        return self._keeps and wanted is not None and len(self._text) > wanted.last

    def feed(self, chunk: bytes) -> None:
        """Raises DamagedBody."""
        self.received_bytes += len(chunk)
        if self._decoder is None:
            self._take(chunk)
            return
        try:
            part = self._decoder.decompress(chunk, DECODE_STEP_BYTES)
            self._take(part)
            while self._decoder.unconsumed_tail:
                part = self._decoder.decompress(self._decoder.unconsumed_tail, DECODE_STEP_BYTES)
                self._take(part)
        except zlib.error as error:
            raise DamagedBody(f"the answer cannot be decoded: {error}") from error

    def end(self) -> None:
        """That was all. Raises DamagedBody."""
        if self._decoder is not None:
            while part := self._decoder.decompress(b"", DECODE_STEP_BYTES):
                self._take(part)
            if not self._decoder.eof:
                raise DamagedBody("the answer's coding breaks off")
        if self._slice is not None and self._keeps and not self.kept:
            raise DamagedBody("the answer does not have the range that was asked for")
        if self._looks:
            self._sniff(is_all=True)
        if self._boxes is not None and not self._boxes.is_whole:
            raise DamagedBody("the media breaks off within a box")

    def _take(self, part: bytes) -> None:
        self._decoded_bytes += len(part)
        if self._keeps:
            if self._decoded_bytes > TEXT_BYTES_MAX:
                raise TooLargeBody(f"the manifest is larger than {TEXT_BYTES_MAX >> 20} MiB")
            self._text += part
        elif self._decoded_bytes > DECODED_BYTES_MAX:
            raise DamagedBody(f"the answer is larger than {DECODED_BYTES_MAX >> 20} MiB")
        if self._boxes is not None:
            self._boxes.feed(part)
        elif self._looks:
            self._head += part
            self._sniff(is_all=False)

    def _sniff(self, *, is_all: bool) -> None:
        if len(self._head) < SNIFF_BYTES and not is_all:
            return
        self._looks = False
        if bytes(self._head[:SNIFF_BYTES]).lstrip().lower().startswith(_PAGES):
            raise DamagedBody("a page came instead of media")
        if bytes(self._head[4:8]) in _FIRST_BOXES:
            self._boxes = BoxWalk()
            self._boxes.feed(bytes(self._head))
        self._head.clear()


class BoxWalk:
    """Walks over the boxes of a body at their outermost level, without keeping any."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._left_bytes = 0
        """Of the box that is under way; it says so itself."""
        self._is_open = False
        """The last box goes on to the end, however far that is."""

    @property
    def is_whole(self) -> bool:
        """A box has just ended."""
        return self._is_open or (self._left_bytes == 0 and not self._head)

    def feed(self, part: bytes) -> None:
        """Raises DamagedBody."""
        at = 0
        while at < len(part) and not self._is_open:
            if self._left_bytes:
                step = min(self._left_bytes, len(part) - at)
                self._left_bytes -= step
                at += step
                continue
            is_large = self._head[:4] == b"\0\0\0\1"
            want = _LARGE_HEAD if is_large else _BOX_HEAD
            step = min(want - len(self._head), len(part) - at)
            self._head += part[at : at + step]
            at += step
            self._read_head()

    def _read_head(self) -> None:
        size = int.from_bytes(self._head[:4], "big")
        if len(self._head) < _BOX_HEAD or (size == 1 and len(self._head) < _LARGE_HEAD):
            return
        if size == 0:
            self._is_open = True
        else:
            head_bytes = len(self._head)
            if size == 1:
                size = int.from_bytes(self._head[8:16], "big")
            if size < head_bytes:
                raise DamagedBody("the media is damaged: a box smaller than its own head")
            self._left_bytes = size - head_bytes
        self._head.clear()


def _decoder(coding: str) -> zlib._Decompress | None:
    name = coding.strip().lower()
    if name in ("", "identity"):
        return None
    if name not in _WBITS:
        raise DamagedBody(f"the answer is coded as {name}, which was not asked for")
    return zlib.decompressobj(_WBITS[name])
