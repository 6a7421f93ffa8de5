"""A plan is believed only as it was signed, by whom, for whom, and while it is valid."""

import msgspec
import pytest

from nearcast.errors import PlanError
from nearcast.placement import PLAN_BYTES_MAX, EdgePlan, FillWindow
from nearcast.plan_signing import encode_plan, public_key_text, read_plan, sign_plan

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
NOW_S = 1_700_000_000.0


def a_plan(made_wall_s: float = NOW_S - 100.0) -> EdgePlan:
    return EdgePlan(
        plan_id="ab" * 32,
        edge="ams1",
        made_wall_s=made_wall_s,
        valid_from_wall_s=NOW_S - 100.0,
        valid_until_wall_s=NOW_S + 3600.0,
        pinned_bytes_max=10**9,
        fill_bytes_max=10**8,
        fill_kbps_max=1000.0,
        windows=(FillWindow(from_wall_s=NOW_S, until_wall_s=NOW_S + 60.0),),
        files=(),
    )


def refusal(
    body: bytes,
    *,
    key: bytes = KEY,
    edge: str = "ams1",
    now_wall_s: float = NOW_S,
) -> str:
    with pytest.raises(PlanError) as caught:
        read_plan(
            body,
            [public_key_text(key)],
            edge=edge,
            now_wall_s=now_wall_s,
        )
    return caught.value.reason


def test_a_signed_plan_is_read_as_it_was() -> None:
    body = encode_plan(a_plan(), [KEY])
    assert read_plan(body, [public_key_text(KEY)], edge="ams1", now_wall_s=NOW_S) == a_plan()


def test_one_trusted_key_of_several_is_enough() -> None:
    body = encode_plan(a_plan(), [OTHER, KEY])
    assert read_plan(body, [public_key_text(KEY)], edge="ams1", now_wall_s=NOW_S) == a_plan()


def test_what_is_wrong_is_named() -> None:
    body = encode_plan(a_plan(), [KEY])
    assert refusal(body, key=OTHER) == "untrusted"
    assert refusal(body, edge="ams2") == "other_edge"
    assert refusal(body, now_wall_s=NOW_S + 3600.0) == "expired"
    assert refusal(b"{}") == "unreadable"
    assert refusal(b"[" * 100_000) == "unreadable"
    assert refusal(b"\xff" * 10) == "unreadable"
    assert refusal(b" " * (PLAN_BYTES_MAX + 1)) == "oversized"


def test_a_changed_plan_is_no_plan() -> None:
    signed = sign_plan(a_plan(), [KEY])
    payload = signed.payload.replace(b"ams1", b"ams2")
    body = msgspec.json.encode(msgspec.structs.replace(signed, payload=payload))
    assert refusal(body, edge="ams2") == "forged"


def test_a_signature_for_a_model_is_none_for_a_plan() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    signed = sign_plan(a_plan(), [KEY])
    other = Ed25519PrivateKey.from_private_bytes(KEY).sign(
        b"nearcast model manifest 1\n" + signed.payload
    )
    wrong = msgspec.structs.replace(signed.signatures[0], signature=other)
    body = msgspec.json.encode(msgspec.structs.replace(signed, signatures=(wrong,)))
    assert refusal(body) == "forged"


def test_a_plan_for_later_is_read_by_who_waits_for_it() -> None:
    body = encode_plan(a_plan(), [KEY])
    again = read_plan(body, [public_key_text(KEY)], edge="ams1", now_wall_s=NOW_S - 600.0)
    assert again == a_plan()
