"""The files of one rendition while it is being made."""

from __future__ import annotations

from pathlib import Path

import google_crc32c

from origin.catalog import INIT_NAME, segment_name


class RenditionFiles:
    """Writes init and segments into a folder of their own, each once, and counts them.

    OSError travels up as it is: only the ingest knows what a full disk means to the user.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self.init = b""
        self.init_crc32c = 0
        self.sizes_bytes: list[int] = []
        self.crc32cs: list[int] = []

    def write_init(self, data: bytes) -> None:
        self.init = data
        self.init_crc32c = google_crc32c.value(data)
        (self._folder / INIT_NAME).write_bytes(data)

    def write_segment(self, data: bytes) -> None:
        self.sizes_bytes.append(len(data))
        self.crc32cs.append(google_crc32c.value(data))
        (self._folder / segment_name(len(self.sizes_bytes))).write_bytes(data)
