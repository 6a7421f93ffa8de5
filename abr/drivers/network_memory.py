"""The file of what is remembered of networks: read before playing, written after.

Whatever is wrong with it costs the memory alone: a warning, and playback goes on.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from nearcast.clock import Clock
from nearcast.errors import ConfigError, InputError
from nearcast.whole_file import write_whole
from predictor.bandwidth import Prior
from predictor.bandwidth.memory import Store, decode, encode, learnt, prior_of

logger = logging.getLogger(__name__)

FILE_NAME = "networks.json"
SALT_BYTES = 16


def default_file(environ: Mapping[str, str]) -> Path:
    """Where state is kept that belongs to a user and to no other machine (XDG Base Directory)."""
    told = environ.get("XDG_STATE_HOME", "")
    # A relative path there counts for nothing, the specification says.
    if Path(told).is_absolute():
        return Path(told) / "nearcast" / FILE_NAME
    try:
        return Path.home() / ".local" / "state" / "nearcast" / FILE_NAME
    except RuntimeError as error:
        raise ConfigError(
            "network_memory.file: say where, as there is no home folder to keep it in"
        ) from error


class NetworkMemory:
    """One network in the file. Making one is the viewer's consent; a file that says otherwise
    (`is_allowed`) is believed.

    The file is read anew for each change, so that players that end one after another do not forget
    for each other; of two that end in the same moment one may be lost.
    """

    def __init__(self, file: Path, network: str, clock: Clock) -> None:
        self._file = file
        self._network = network
        self._clock = clock

    def prior(self) -> Prior | None:
        """What to expect of the network; None where nothing is known."""
        store = self._read()
        return None if store is None else prior_of(store, self._network, self._wall_s())

    def learn(self, samples_kbps: Sequence[float]) -> None:
        """A session on the network ended, in which these were the rates; without any, nothing is
        written."""
        store = self._read() if samples_kbps else None
        if store is None:
            return
        after = learnt(store, self._network, np.array(samples_kbps), self._wall_s())
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(self._file, encode(after))
            self._file.chmod(0o600)
        except (OSError, InputError) as error:
            logger.warning("network_memory.not_written file=%s cause=%s", self._file, error)

    def _read(self) -> Store | None:
        """None where the file cannot be read, and ought to be left as it is."""
        fresh = Store(salt=secrets.token_hex(SALT_BYTES), is_allowed=True)
        try:
            return decode(self._file.read_bytes(), str(self._file))
        except FileNotFoundError:
            return fresh
        except OSError as error:
            logger.warning("network_memory.not_read file=%s cause=%s", self._file, error)
            return None
        except InputError as error:
            return fresh if self._keep_aside(error) else None

    def _keep_aside(self, error: InputError) -> bool:
        aside = self._file.with_name(f"{self._file.name}.damaged")
        try:
            self._file.replace(aside)
        except OSError as refused:
            logger.warning("network_memory.damaged cause=%s kept_aside=%s", error, refused)
            return False
        logger.warning("network_memory.damaged cause=%s kept_aside=%s", error, aside)
        return True

    def _wall_s(self) -> float:
        return self._clock.epoch_s + self._clock.now_s()
