"""Whose placement plans are believed: Ed25519 signatures over an edge's plan.

The origin signs the JSON of each edge's plan with a key of its own; edges learnt the public keys
when they enrolled. Several may sign while keys are changed; one that is trusted is enough. A key is
named as models' keys are: by the first 16 hexadecimal digits of the SHA-256 of its 32 bytes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec

from nearcast.errors import PlanError
from nearcast.placement import (
    PLAN_BYTES_MAX,
    PLAN_VERSION,
    SIGNED_PREFIX,
    EdgePlan,
    PlanSignature,
    SignedPlan,
)

KEY_BYTES: Final = 32
KEYS_MAX: Final = 8


def key_id(public_key: bytes) -> str:
    return hashlib.sha256(public_key).hexdigest()[:16]


def public_key_text(private_key: bytes) -> str:
    """What edges are given: the public key of these 32 bytes, in base64."""
    return base64.b64encode(_public_bytes(private_key)).decode("ascii")


def sign_plan(plan: EdgePlan, private_keys: Sequence[bytes]) -> SignedPlan:
    """The plan as it is published; each private key is 32 bytes, as raw Ed25519."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    assert 1 <= len(private_keys) <= KEYS_MAX
    payload = msgspec.json.encode(plan)
    return SignedPlan(
        payload=payload,
        signatures=tuple(
            PlanSignature(
                key_id=key_id(_public_bytes(key)),
                signature=Ed25519PrivateKey.from_private_bytes(key).sign(SIGNED_PREFIX + payload),
            )
            for key in private_keys
        ),
    )


def encode_plan(plan: EdgePlan, private_keys: Sequence[bytes]) -> bytes:
    """The body of an answer to `PLAN_PATH`."""
    return msgspec.json.encode(sign_plan(plan, private_keys))


def read_plan(
    body: bytes,
    keys: Sequence[str],
    *,
    edge: str,
    now_wall_s: float,
) -> EdgePlan:
    """The plan in `body`, if one of `keys` (public, base64) signed it for `edge`, until it ends.

    It may begin later: who follows it waits. It may be older than the one in force: an operator can
    go back to it. Raises PlanError.
    """
    if len(body) > PLAN_BYTES_MAX:
        raise PlanError(
            f"the plan has {len(body)} bytes, more than the {PLAN_BYTES_MAX} that are read",
            reason="oversized",
        )
    try:
        signed = msgspec.json.decode(body, type=SignedPlan)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PlanError(f"the plan cannot be read: {error}", reason="unreadable") from error
    _check_version(signed.version)
    _check_signature(signed, keys)
    try:
        plan = msgspec.json.decode(signed.payload, type=EdgePlan)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PlanError(f"what was signed is no plan: {error}", reason="unreadable") from error
    _check_version(plan.version)
    if plan.edge != edge:
        raise PlanError(f"the plan is for {plan.edge}, this is {edge}", reason="other_edge")
    if now_wall_s >= plan.valid_until_wall_s:
        raise PlanError(
            f"plan {plan.plan_id[:12]} ended {now_wall_s - plan.valid_until_wall_s:.0f} s ago; "
            "look at both clocks if the origin says it is in force",
            reason="expired",
        )
    return plan


def _check_version(version: int) -> None:
    if version != PLAN_VERSION:
        raise PlanError(
            f"the plan has version {version}, this edge reads {PLAN_VERSION}; update it",
            reason="version",
        )


def _check_signature(signed: SignedPlan, keys: Sequence[str]) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    known = {key_id(key): key for key in map(_decode_key, keys[:KEYS_MAX])}
    named = [one for one in signed.signatures if one.key_id in known]
    if not named:
        ids = ", ".join(one.key_id for one in signed.signatures)
        raise PlanError(
            f"the plan is signed with {ids}, of which this edge trusts none; enrol it anew if the "
            "origin has new keys",
            reason="untrusted",
        )
    for one in named:
        public = Ed25519PublicKey.from_public_bytes(known[one.key_id])
        try:
            public.verify(one.signature, SIGNED_PREFIX + signed.payload)
        except InvalidSignature:
            continue
        return
    raise PlanError("the plan is not what was signed; it was changed on its way", reason="forged")


def _decode_key(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise PlanError("a plan key is not base64; enrol anew", reason="untrusted") from error
    if len(key) != KEY_BYTES:
        raise PlanError(f"a plan key has {len(key)} bytes, not {KEY_BYTES}", reason="untrusted")
    return key


def _public_bytes(private_key: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw()
