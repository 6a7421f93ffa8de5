"""Who is in the fleet: enrolment, certificates, and whether one counts still.

Records are in the database; a copy is kept here, so that a heartbeat asks nobody. What another
origin changes is seen with the next `refresh`, about a second later.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from nearcast.address import is_site, network
from nearcast.enrol_token import EnrolTokenText, secret_digest, write_token
from nearcast.errors import InputError, RemoteProtocolError
from nearcast.fleet import RENEW_SHARE, Duty, EnrolAnswer, EnrolRequest, Refused, RenewRequest
from nearcast.plan_signing import public_key_text
from origin.control.access import Guesses
from origin.control.authority import EDGE_S, Authority
from origin.drivers.state import ControlStore, StateUnavailable, UrlTaken
from origin.records import AuditEntry, EdgeRecord, EnrolToken

logger = logging.getLogger(__name__)

AUTHORITY_SECRET: Final = "fleet.authority"
PLAN_KEY_SECRET: Final = "plan.key"
TOKEN_S_MAX: Final = 30 * 86_400.0


class Origins(Protocol):
    def __call__(self) -> tuple[str, ...]:
        """The fleet ports of all origins, ours first."""


class Identities:
    """`open` it; edges that are known are in `records`."""

    def __init__(
        self,
        store: ControlStore,
        authority: Authority,
        plan_key: Ed25519PrivateKey,
        origins: Origins,
        wall_s: Callable[[], float],
    ) -> None:
        self._store = store
        self.authority = authority
        self.plan_key = plan_key
        self._origins = origins
        self._wall_s = wall_s
        self._guesses = Guesses()
        self._turn = asyncio.Lock()
        """Over what is written and read of records, so that no older reading undoes in `records`
        what was written meanwhile."""
        self.records: Mapping[str, EdgeRecord] = {}

    @classmethod
    async def open(
        cls, store: ControlStore, origins: Origins, wall_s: Callable[[], float] = time.time
    ) -> Identities:
        """Make what is not there yet; of two origins that start at once, both use one's."""
        kept = await store.secret(AUTHORITY_SECRET)
        if kept is None:
            made = Authority.make(wall_s()).secret
            kept = await store.put_secret_once(AUTHORITY_SECRET, made)
        key = await store.secret(PLAN_KEY_SECRET)
        if key is None:
            fresh = Ed25519PrivateKey.generate().private_bytes_raw()
            key = await store.put_secret_once(PLAN_KEY_SECRET, fresh)
        plan_key = Ed25519PrivateKey.from_private_bytes(key)
        identities = cls(store, Authority.read(kept), plan_key, origins, wall_s)
        await identities.refresh()
        return identities

    async def refresh(self) -> tuple[EdgeRecord, ...]:
        """Read all records anew; those that changed, or are new."""
        async with self._turn:
            records = {record.edge: record for record in await self._store.edges()}
            changed = tuple(
                record for record in records.values() if self.records.get(record.edge) != record
            )
            self.records = records
        return changed

    def _keep(self, record: EdgeRecord) -> None:
        """What was just written needs no reading."""
        self.records = {**self.records, record.edge: record}

    @property
    def plan_public_key(self) -> str:
        return public_key_text(self.plan_key.private_bytes_raw())

    # Edges

    def admits(self, edge: str, serial: str, until_wall_s: float) -> Refused | None:
        """Whether a certificate counts; its signature was checked by the TLS stack."""
        record = self.records.get(edge)
        if record is None:
            return Refused(error="unknown_edge", detail=f"{edge} is not in this fleet: enrol it")
        if record.revoked:
            return Refused(error="revoked", detail=f"{edge} was taken out of the fleet")
        if serial not in (record.serial, record.serial_before):
            return Refused(
                error="revoked",
                detail=f"this certificate of {edge} is no longer good: another replaced it",
            )
        if until_wall_s <= self._wall_s():
            return Refused(error="revoked", detail=f"the certificate of {edge} is over: enrol it")
        return None

    def wants_renewal(self, until_wall_s: float) -> bool:
        return until_wall_s - self._wall_s() < EDGE_S * (1 - RENEW_SHARE)

    async def enrol(self, asked: EnrolRequest, peer: str) -> EnrolAnswer | Refused:
        """Let an edge in that has a token for it."""
        wall_s = self._wall_s()
        bad_url = why_no_url(asked.profile.url)
        if bad_url:
            return Refused(error="bad_request", detail=bad_url)
        try:
            for text in asked.profile.networks:
                network(text)
            check_place(asked.profile.cluster, asked.profile.region)
        except InputError as error:
            return Refused(error="bad_request", detail=str(error))
        try:
            certificate = self.authority.edge_certificate(asked.edge, asked.csr_pem, wall_s)
        except RemoteProtocolError as error:
            return Refused(error="bad_request", detail=str(error))
        record = EdgeRecord(
            edge=asked.edge,
            profile=asked.profile,
            serial=certificate.serial,
            enrolled_wall_s=wall_s,
            changed_wall_s=wall_s,
        )
        try:
            async with self._turn:
                outcome = await self._store.enrol(secret_digest(asked.token), record, wall_s)
                if outcome == "enrolled":
                    self._keep(record)
            if outcome == "enrolled":
                logger.info("fleet.enrolled edge=%s", asked.edge)
                return self._answer(asked.edge, certificate.certificate_pem)
            loop_s = asyncio.get_running_loop().time()
            is_flood = self._guesses.wait_s(peer, loop_s) > 0
            self._guesses.wrong(peer, loop_s)
            if is_flood:  # not in the audit log, which would grow by it
                return Refused(error="busy", detail="too many wrong tokens: wait a minute")
            await self._store.audit(
                AuditEntry(wall_s=wall_s, actor=peer, action="enrol.refused", subject=asked.edge,
                           after=msgspec.json.encode({"reason": outcome}).decode())
            )  # fmt: skip
        except StateUnavailable:
            return _away()
        except UrlTaken as error:
            logger.warning("fleet.enrol_refused edge=%s reason=url_taken", asked.edge)
            return Refused(error="duplicate", detail=str(error))
        logger.warning("fleet.enrol_refused edge=%s reason=%s", asked.edge, outcome)
        if outcome == "duplicate":
            return Refused(
                error="duplicate",
                detail=f"there is an edge {asked.edge} already: revoke it first, or choose "
                "another name",
            )
        return Refused(
            error="bad_token",
            detail="the token was used, is too old, or is for another edge: make a new one with "
            f"nearcast origin fleet enrol {asked.edge}",
        )

    async def renew(self, edge: str, serial: str, asked: RenewRequest) -> EnrolAnswer | Refused:
        """A new certificate for who has shown a good one, of this serial; that stays good, should
        this be lost, however often."""
        wall_s = self._wall_s()
        try:
            certificate = self.authority.edge_certificate(edge, asked.csr_pem, wall_s)
        except RemoteProtocolError as error:
            return Refused(error="bad_request", detail=str(error))
        try:
            changed = await self._change(
                edge,
                f"edge {edge}",
                "edge.renewed",
                lambda one: replace(one, serial=certificate.serial, serial_before=serial),
            )
        except StateUnavailable:
            return _away()
        if changed is None:
            return Refused(error="unknown_edge", detail=f"{edge} was taken out of the fleet")
        return self._answer(edge, certificate.certificate_pem)

    def _answer(self, edge: str, certificate_pem: str) -> EnrolAnswer:
        return EnrolAnswer(
            edge=edge,
            certificate_pem=certificate_pem,
            authority_pem=self.authority.certificate_pem,
            plan_keys=(self.plan_public_key,),
            origins=self._origins(),
        )

    # People

    async def invite(self, edge: str, valid_s: float, by: str) -> tuple[str, float]:
        """The text of a token with which `edge` may enrol, once, and until when. Raises
        InputError."""
        if not 0 < valid_s <= TOKEN_S_MAX:
            raise InputError("a token may be valid for up to 30 days")
        known = self.records.get(edge)
        if known is not None and not known.revoked:
            raise InputError(f"there is an edge {edge} already: revoke it before it enrols again")
        secret = secrets.token_urlsafe(32)
        wall_s = self._wall_s()
        await self._store.add_token(
            EnrolToken(
                token_sha256=secret_digest(secret),
                edge=edge,
                made_wall_s=wall_s,
                until_wall_s=wall_s + valid_s,
                by=by,
            )
        )
        text = write_token(
            EnrolTokenText(
                origins=self._origins(),
                fingerprint=self.authority.fingerprint,
                secret=secret,
                edge=edge,
            )
        )
        return text, wall_s + valid_s

    async def set_duty(self, edge: str, duty: Duty, by: str) -> EdgeRecord | None:
        return await self._change(edge, by, f"edge.{duty}", lambda one: replace(one, duty=duty))

    async def set_profile(
        self, edge: str, changes: Mapping[str, Any], by: str
    ) -> EdgeRecord | None:
        """Change these fields of what it said of itself (see `profiles.changes`). Raises
        UrlTaken."""
        return await self._change(
            edge,
            by,
            "edge.profile",
            lambda one: replace(one, profile=replace(one.profile, **changes)),
        )

    async def revoke(self, edge: str, by: str) -> EdgeRecord | None:
        return await self._change(edge, by, "edge.revoked", lambda one: replace(one, revoked=True))

    async def forget(self, edge: str, by: str) -> bool:
        """Keep no record of an edge that was revoked; false: it is in the fleet, or unknown."""
        async with self._turn:
            is_gone = await self._store.remove_edge(edge, wall_s=self._wall_s(), by=by)
            if is_gone:
                self.records = {name: one for name, one in self.records.items() if name != edge}
        return is_gone

    async def _change(
        self, edge: str, by: str, action: str, edit: Callable[[EdgeRecord], EdgeRecord]
    ) -> EdgeRecord | None:
        async with self._turn:
            changed = await self._store.change_edge(
                edge, edit, wall_s=self._wall_s(), by=by, action=action
            )
            if changed is not None:
                self._keep(changed)
        return changed


def why_no_url(url: str) -> str:
    """Why players cannot be sent there; empty: they can."""
    if is_site(url, "http", "https"):
        return ""
    return f"the edge's URL {url[:100]!r} is of no use: write http://HOST:PORT"


def check_place(*names: str) -> None:
    """A cluster, a region: people read them in terminals. Raises InputError."""
    for name in names:
        if not name.isprintable():
            raise InputError(
                f"the cluster or region {name[:100]!r} holds control characters: write it with "
                "letters, digits, signs and spaces"
            )


def _away() -> Refused:
    return Refused(error="busy", detail="the origin's database is away: try again in a while")
