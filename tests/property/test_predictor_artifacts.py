"""Manifests and signatures under bytes that nobody meant to write."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nearcast.errors import ModelError, SignatureError
from predictor import artifact
from predictor.keys import KeyPair, sign_folder
from predictor.manifest import check_schema, decode
from predictor.runtime import default_model_folder
from predictor.signature import Trust, decode_signatures

KEY = KeyPair.generate()
TRUST = Trust([KEY.public])
MANIFEST = (default_model_folder() / artifact.MANIFEST_FILE).read_bytes()
ROUNDS = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """Manifest and signature of the shipped model, signed."""
    place = tmp_path_factory.mktemp("signed") / "model"
    folder = Path(shutil.copytree(default_model_folder(), place))
    sign_folder(folder, KEY)
    signature = artifact.read_signatures(folder)
    assert signature is not None
    return artifact.read_manifest_text(folder), signature


@ROUNDS
@given(st.integers(0, len(MANIFEST) - 1), st.binary(max_size=6), st.integers(0, 6))
def test_a_damaged_manifest_is_a_model_error_or_a_manifest(
    at: int, text: bytes, cut_count: int
) -> None:
    damaged = MANIFEST[:at] + text + MANIFEST[at + cut_count :]
    with contextlib.suppress(ModelError):
        check_schema(decode(damaged, "here"), "here", kind=None)


@ROUNDS
@given(st.sampled_from(artifact.Manifest.__struct_fields__), json_values)
def test_any_value_of_any_field_is_a_model_error_or_a_manifest(name: str, value: object) -> None:
    content = msgspec.json.decode(MANIFEST) | {name: value}
    with contextlib.suppress(ModelError):
        check_schema(decode(msgspec.json.encode(content), "here"), "here", kind=None)


@ROUNDS
@given(data=st.data())
def test_no_changed_byte_of_manifest_or_signature_is_believed(
    signed: tuple[bytes, bytes], data: st.DataObject
) -> None:
    manifest, signature = signed
    which = data.draw(st.sampled_from((0, 1)))
    content = bytearray(signed[which])
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    changed = bytes(content)
    assert TRUST.check(manifest, signature, "here") == KEY.key_id
    if which == 0:
        with pytest.raises(SignatureError):
            TRUST.check(changed, signature, "here")
        return
    try:
        TRUST.check(manifest, changed, "here")
    except SignatureError:
        return
    # Believed is only what says the same: white space, or how base64 ends.
    assert decode_signatures(changed, "here") == decode_signatures(signature, "here")
