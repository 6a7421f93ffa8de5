"""The folder of an edge's membership: identity, plan, and what was spent for it.

    identity.json   who the edge is, its private key included (mode 0600)
    tls.pem         key and certificate once more, as the TLS library wants them (mode 0600)
    plan.json       the signed plan as it was fetched
    spent.json      what came for it, or may have, and for some before it

Every file is written beside and renamed, so that it is there whole or not at all.
"""

from __future__ import annotations

import logging
import os
import secrets
import ssl
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from edge.config import EdgeConfig
from edge.fleet.identity import Identity, decode
from edge.fleet.orders import PlacementState
from nearcast.errors import ConfigError
from nearcast.placement import PLAN_BYTES_MAX

logger = logging.getLogger(__name__)

IDENTITY_FILE: Final = "identity.json"
TLS_FILE: Final = "tls.pem"
PLAN_FILE: Final = "plan.json"
SPENT_FILE: Final = "spent.json"
FOLDER: Final = "fleet"
IDENTITY_BYTES_MAX: Final = 1 << 20
PLANS_MAX: Final = 16
"""Plans before the one in force of which is kept what was spent."""


def fleet_folder(config: EdgeConfig) -> Path | None:
    """Where enrolling left what an edge needs; None: it has no such place."""
    if config.fleet.folder is not None:
        return Path(config.fleet.folder)
    return Path(config.store) / FOLDER if config.store is not None else None


class Enrolled(NamedTuple):
    """Who an edge is in its fleet, and where that is kept."""

    folder: FleetFolder
    identity: Identity


def enrolled(config: EdgeConfig) -> Enrolled | None:
    """None: the edge takes part in no fleet. Raises ConfigError."""
    path = fleet_folder(config)
    if config.fleet.enabled == "off":
        return None
    folder = FleetFolder(path) if path is not None else None
    if folder is not None and folder.has_identity:
        return Enrolled(folder, folder.identity())
    if config.fleet.enabled == "on":
        raise ConfigError(
            "fleet.enabled is on, and this edge has not enrolled; make a token at the origin with "
            "`nearcast origin fleet enrol EDGE`, then run `nearcast edge enrol TOKEN --store DIR`"
        )
    return None


class FleetFolder:
    """Reads and writes; blocks while it does."""

    def __init__(self, path: Path) -> None:
        self.path = path

    # -- identity

    @property
    def has_identity(self) -> bool:
        return (self.path / IDENTITY_FILE).exists()

    def identity(self) -> Identity:
        """Raises ConfigError."""
        file = self.path / IDENTITY_FILE
        try:
            with file.open("rb") as stream:
                text = stream.read(IDENTITY_BYTES_MAX)
        except OSError as error:
            raise ConfigError(
                f"cannot read {file}: {error.strerror}; enrol the edge with: nearcast edge enrol"
            ) from error
        return decode(text, str(file))

    def check_writable(self) -> None:
        """Before a token is spent. Raises ConfigError."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._write(".writable", b"")
            (self.path / ".writable").unlink()
        except OSError as error:
            raise ConfigError(f"cannot write in {self.path}: {error.strerror}") from error

    def keep_identity(self, identity: Identity) -> None:
        """Raises ConfigError."""
        text = msgspec.json.format(msgspec.json.encode(identity), indent=1)
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._write(IDENTITY_FILE, text + b"\n")
        except OSError as error:
            raise ConfigError(f"cannot write in {self.path}: {error.strerror}") from error

    def tls(self, identity: Identity) -> ssl.SSLContext:
        """Trusts the fleet's authority alone, and shows our certificate. Raises ConfigError."""
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.load_verify_locations(cadata=identity.authority_pem)
            self._write(TLS_FILE, f"{identity.key_pem}\n{identity.certificate_pem}\n".encode())
            context.load_cert_chain(self.path / TLS_FILE)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise ConfigError(
                f"cannot use the certificate in {self.path}: {error}; enrol the edge again with "
                "--replace"
            ) from error
        return context

    # -- the plan

    def plan(self) -> bytes | None:
        """As it was fetched; None when there is none."""
        return self._read(PLAN_FILE, PLAN_BYTES_MAX)

    def keep_plan(self, signed: bytes) -> None:
        """Raises OSError."""
        self._write(PLAN_FILE, signed)

    def spent(self) -> dict[str, int]:
        """By id of a plan, of the latest few, the one in force last."""
        state = self._state()
        return {**state.others, state.plan_id: state.spent_bytes} if state is not None else {}

    def keep_spent(self, plan_id: str, spent_bytes: int) -> None:
        """Raises OSError."""
        others = self.spent()
        others.pop(plan_id, None)
        latest = dict(list(others.items())[-PLANS_MAX:])
        state = PlacementState(plan_id=plan_id, spent_bytes=spent_bytes, others=latest)
        self._write(SPENT_FILE, msgspec.json.encode(state))

    def _state(self) -> PlacementState | None:
        text = self._read(SPENT_FILE, 10_000)
        if text is None:
            return None
        try:
            return msgspec.json.decode(text, type=PlacementState)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None

    def _read(self, name: str, bytes_max: int) -> bytes | None:
        try:
            with (self.path / name).open("rb") as stream:
                text = stream.read(bytes_max + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            logger.warning("fleet.unreadable file=%s cause=%s", self.path / name, error.strerror)
            return None
        return text if len(text) <= bytes_max else None

    def _write(self, name: str, content: bytes) -> None:
        beside = self.path / f".{name}.{secrets.token_hex(4)}.part"
        end = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(end, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            beside.replace(self.path / name)
        finally:
            beside.unlink(missing_ok=True)
