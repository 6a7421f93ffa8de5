"""The folder of fetched models: `<store>/models/<model id>/`, and `_state.json` beside them.

A model is written into a folder whose name begins with a dot and renamed when all of it is there,
so that what has a plain name is whole. Nothing here is believed: whoever loads a model verifies it.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import shutil
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

import msgspec

from edge.models.events import HeldModel, Remembered
from nearcast.errors import InputError
from nearcast.whole_file import write_whole
from predictor.artifact import MANIFEST_BYTES_MAX, MANIFEST_FILE

logger = logging.getLogger(__name__)

STATE_FILE: Final = "_state.json"
"""No model is called so."""
STATE_BYTES_MAX: Final = 1_000_000
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""Of models and of their files, where they become names of files here."""


class ModelStore:
    """Blocking: call it in a thread. Without `store` the models live as long as the node."""

    def __init__(self, store: Path | None) -> None:
        self._is_lasting = store is not None
        self._folder = store / "models" if store is not None else None

    def open(self) -> tuple[tuple[HeldModel, ...], Remembered]:
        """What is there. Raises OSError."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="nearcast-models-"))
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = []
        for path in sorted(self._folder.iterdir()):
            if not path.is_dir() or path.is_symlink():
                continue
            if not NAME.fullmatch(path.name):
                shutil.rmtree(path, ignore_errors=True)  # a fetch that was cut off
                continue
            with contextlib.suppress(OSError):
                held.append(_held(path))
        return tuple(held), self._state()

    def keep(self, model_id: str, files: Mapping[str, bytes]) -> HeldModel:
        """Write a model. Raises OSError."""
        assert self._folder is not None, "the store was opened"
        part = self._folder / f".{model_id}.part"
        shutil.rmtree(part, ignore_errors=True)
        try:
            part.mkdir(mode=0o700)
            for name, content in files.items():
                (part / name).write_bytes(content)
            folder = self._folder / model_id
            shutil.rmtree(folder, ignore_errors=True)
            part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return _held(folder)

    def remember(self, remembered: Remembered, kept: Collection[str]) -> None:
        """Write the state down and let other models go. Raises OSError."""
        assert self._folder is not None, "the store was opened"
        if self._is_lasting:
            text = msgspec.json.format(msgspec.json.encode(remembered), indent=1)
            try:
                write_whole(self._folder / STATE_FILE, text + b"\n")
            except InputError as error:
                raise OSError(str(error)) from error
        for path in sorted(self._folder.iterdir()):
            if path.is_dir() and NAME.fullmatch(path.name) and path.name not in kept:
                shutil.rmtree(path, ignore_errors=True)

    def close(self) -> None:
        if not self._is_lasting and self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _state(self) -> Remembered:
        """As it was left; nothing if that cannot be read."""
        assert self._folder is not None
        path = self._folder / STATE_FILE
        try:
            with path.open("rb") as file:
                return msgspec.json.decode(file.read(STATE_BYTES_MAX), type=Remembered)
        except FileNotFoundError:
            return Remembered()
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            logger.warning("models.state_unreadable file=%s cause=%s", path, error)
            return Remembered()


def _held(folder: Path) -> HeldModel:
    """Raises OSError."""
    with (folder / MANIFEST_FILE).open("rb") as file:
        text = file.read(MANIFEST_BYTES_MAX + 1)
    return HeldModel(
        model_id=folder.name,
        manifest_sha256=hashlib.sha256(text).hexdigest(),
        folder=str(folder),
    )
