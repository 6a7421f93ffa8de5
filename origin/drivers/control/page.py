"""The page's files, as the admin port serves them: `origin/web`, read once.

They hold no data and need no token: what the page shows it asks the admin API for. There is no
build step, and nothing is loaded from anywhere else.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from origin.drivers.control.admin.port import PageFile

CONTENT_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}
INDEX: Final = "/index.html"


class WebPage:
    """Gives a file for a path, or None. Only what was there at the start is ever given."""

    def __init__(self) -> None:
        self.files: dict[str, PageFile] = {}
        self._add("", files("origin") / "web")

    def __call__(self, path: str) -> PageFile | None:
        return self.files.get(INDEX if path == "/" else path)

    def _add(self, prefix: str, folder: Traversable) -> None:
        for entry in folder.iterdir():
            path = f"{prefix}/{entry.name}"
            if entry.is_dir():
                self._add(path, entry)
                continue
            content_type = CONTENT_TYPES.get(entry.name.rpartition(".")[2])
            if content_type is not None:
                content = entry.read_bytes()
                etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
                self.files[path] = PageFile(content_type, content, etag)
