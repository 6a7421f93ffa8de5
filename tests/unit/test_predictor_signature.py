"""Whose model may serve: keys, signatures, and all that can be wrong with them."""

from __future__ import annotations

import base64
import json
import shutil
import stat
from pathlib import Path

import msgspec
import pytest

from nearcast.errors import InputError, ModelError, SignatureError
from nearcast.main import main
from predictor import artifact
from predictor.keys import KeyPair, sign_folder
from predictor.runtime import default_model_folder
from predictor.signature import SIGNATURE_BYTES_MAX, SIGNED_PREFIX, Trust, key_id

KEYS = tuple(KeyPair.generate() for _ in range(3))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The shipped model, signed by the first key."""
    copy = Path(shutil.copytree(default_model_folder(), tmp_path / "model"))
    sign_folder(copy, KEYS[0])
    return copy


def trust(*keys: KeyPair, revoked: tuple[str, ...] = ()) -> Trust:
    return Trust([key.public for key in keys], revoked=revoked)


def refusal(folder: Path, trusted: Trust) -> str:
    with pytest.raises(ModelError) as caught:
        artifact.load(folder, trust=trusted)
    return caught.value.reason


def test_a_model_signed_by_a_trusted_key_is_loaded(folder: Path) -> None:
    loaded = artifact.load(folder, trust=trust(KEYS[1], KEYS[0]))
    assert loaded.signed_by == KEYS[0].key_id


def test_the_signature_is_ed25519_over_prefix_and_manifest(folder: Path) -> None:
    """Checked with the library alone, as another program would."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    (found,) = json.loads((folder / "manifest.sig").read_bytes())["signatures"]
    signed = SIGNED_PREFIX + (folder / "manifest.json").read_bytes()
    public = Ed25519PublicKey.from_public_bytes(KEYS[0].public)
    public.verify(base64.b64decode(found["signature"]), signed)


def test_without_keys_an_unsigned_model_is_loaded_and_with_them_refused(folder: Path) -> None:
    (folder / artifact.SIGNATURE_FILE).unlink()
    assert artifact.load(folder).signed_by == ""
    assert refusal(folder, trust(KEYS[0])) == "unsigned"


def test_another_key_is_refused(folder: Path) -> None:
    assert refusal(folder, trust(KEYS[1])) == "untrusted"


def test_to_trust_nobody_refuses_everything(folder: Path) -> None:
    assert refusal(folder, trust()) == "untrusted"
    assert refusal(folder, trust(KEYS[0], revoked=(KEYS[0].key_id,))) == "untrusted"


def test_a_revoked_key_is_refused_while_others_count(folder: Path) -> None:
    trusted = trust(*KEYS, revoked=(KEYS[0].key_id,))
    assert refusal(folder, trusted) == "revoked"
    sign_folder(folder, KEYS[1], keep_others=True)
    assert artifact.load(folder, trust=trusted).signed_by == KEYS[1].key_id


def test_keys_are_changed_with_two_signatures(folder: Path) -> None:
    sign_folder(folder, KEYS[1], keep_others=True)
    sign_folder(folder, KEYS[1], keep_others=True)
    for key in KEYS[:2]:
        assert artifact.load(folder, trust=trust(key)).signed_by == key.key_id
    sign_folder(folder, KEYS[2])
    assert refusal(folder, trust(*KEYS[:2])) == "untrusted"


def test_every_changed_byte_of_the_manifest_is_noticed(folder: Path) -> None:
    path = folder / artifact.MANIFEST_FILE
    content = path.read_bytes()
    for at in range(0, len(content), 997):
        changed = bytearray(content)
        changed[at] ^= 1
        path.write_bytes(bytes(changed))
        assert refusal(folder, trust(KEYS[0])) == "forged"


def test_a_model_swapped_under_a_signed_manifest_is_noticed(folder: Path) -> None:
    path = folder / artifact.MODEL_FILE
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    assert refusal(folder, trust(KEYS[0])) == "changed"


def test_a_further_file_is_covered(tmp_path: Path) -> None:
    shipped = artifact.load(default_model_folder())
    files = {"titles.json": b'["a", "b"]'}
    manifest = msgspec.structs.replace(
        shipped.manifest, files={name: artifact.file_entry(text) for name, text in files.items()}
    )
    artifact.write(tmp_path, shipped.model, manifest, files)
    sign_folder(tmp_path, KEYS[0])
    assert artifact.load(tmp_path, trust=trust(KEYS[0])).files == files
    (tmp_path / "titles.json").write_bytes(b'["a", "c"]')
    assert refusal(tmp_path, trust(KEYS[0])) == "changed"
    (tmp_path / "titles.json").unlink()
    assert refusal(tmp_path, trust(KEYS[0])) == "unreadable"


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", ".hidden", "model.onnx", "a/b", ""])
def test_a_further_file_may_not_be_elsewhere(folder: Path, name: str) -> None:
    path = folder / artifact.MANIFEST_FILE
    content = msgspec.json.decode(path.read_bytes())
    content["files"] = {name: {"sha256": "0" * 64, "size_bytes": 0}}
    path.write_bytes(msgspec.json.encode(content))
    with pytest.raises(ModelError, match=r"manifest|further files"):
        artifact.load(folder)


def test_a_signature_for_something_else_is_none_for_a_model(folder: Path) -> None:
    """The same key, over the manifest without the line that says what it is."""
    text = (folder / artifact.MANIFEST_FILE).read_bytes()
    bare = KEYS[0]._private.sign(text)
    path = folder / artifact.SIGNATURE_FILE
    content = msgspec.json.decode(path.read_bytes())
    content["signatures"][0]["signature"] = base64.b64encode(bare).decode()
    path.write_bytes(msgspec.json.encode(content))
    assert refusal(folder, trust(KEYS[0])) == "forged"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"\xff",
        b"[" * 3_000,
        b'{"format_version": 2, "signatures": []}',
        b'{"format_version": 1, "signatures": [{"key_id": "x", "signature": ""}]}',
        b'{"format_version": 1, "signatures": [%s]}'
        % b", ".join([b'{"key_id": "0123456789abcdef", "signature": ""}'] * 9),
    ],
)
def test_a_damaged_signature_is_refused(folder: Path, content: bytes) -> None:
    (folder / artifact.SIGNATURE_FILE).write_bytes(content)
    assert refusal(folder, trust(KEYS[0])) == "forged"


@pytest.mark.parametrize("signature", [b"", b"\x00" * 64, b"\xff" * 64, b"\x01" * 63])
def test_a_signature_of_no_key_is_refused(folder: Path, signature: bytes) -> None:
    one = {"key_id": KEYS[0].key_id, "signature": base64.b64encode(signature).decode()}
    text = msgspec.json.encode({"format_version": 1, "signatures": [one]})
    (folder / artifact.SIGNATURE_FILE).write_bytes(text)
    assert refusal(folder, trust(KEYS[0])) == "forged"


def test_an_oversized_signature_is_not_read(folder: Path) -> None:
    (folder / artifact.SIGNATURE_FILE).write_bytes(b" " * (SIGNATURE_BYTES_MAX + 1))
    assert refusal(folder, trust(KEYS[0])) == "oversized"


def test_writing_a_model_anew_takes_its_signature_away(folder: Path) -> None:
    loaded = artifact.load(folder)
    artifact.write(folder, loaded.model, loaded.manifest)
    assert refusal(folder, trust(KEYS[0])) == "unsigned"


def test_what_is_damaged_is_not_signed(folder: Path) -> None:
    (folder / artifact.MODEL_FILE).write_bytes(b"no graph")
    before = (folder / artifact.SIGNATURE_FILE).read_bytes()
    with pytest.raises(SignatureError):
        sign_folder(folder, KEYS[1])
    assert (folder / artifact.SIGNATURE_FILE).read_bytes() == before


def test_keys_are_read_as_text_and_from_files(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# ours\n{KEYS[0].public_text}  # old\n\n{KEYS[1].public_text}\n")
    found = Trust.read([str(file), KEYS[2].public_text], revoked=[KEYS[1].key_id])
    assert found.key_ids == tuple(sorted((KEYS[0].key_id, KEYS[2].key_id)))
    assert KEYS[0].key_id == key_id(KEYS[0].public)


def test_bad_keys_are_named_by_file_and_line_and_never_shown(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a public key"):
        Trust.read(["nonsense"])
    with pytest.raises(InputError, match="no key id"):
        Trust.read([], revoked=["XYZ"])
    private = tmp_path / "models.key"
    KEYS[0].write(private)
    with pytest.raises(InputError, match=r"models\.key, line 1") as caught:
        Trust.read([str(private)])
    secret = private.read_text().splitlines()[1]
    assert secret not in str(caught.value)
    public = tmp_path / "models.key.pub"
    public.chmod(0o600)
    with pytest.raises(InputError, match="no Ed25519 private key") as caught:
        KeyPair.read(public)
    assert KEYS[0].public_text not in str(caught.value)


def test_a_key_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "models.key"
    KEYS[0].write(path)
    assert KeyPair.read(path).public == KEYS[0].public
    path.chmod(0o640)
    with pytest.raises(InputError, match="chmod 600"):
        KeyPair.read(path)


def test_keygen_sign_and_verify_by_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(default_model_folder(), tmp_path / "model"))
    key, report = tmp_path / "models.key", tmp_path / "report.json"
    assert main(["models", "keygen", "--out", str(key), "--json", str(report)]) == 0
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    said = json.loads(report.read_text())
    secret = key.read_text().splitlines()[1]
    assert main(["models", "verify", str(folder), "--public-key", said["public_key"]]) == 2
    assert main(["models", "sign", str(folder), "--key", str(key), "--json", str(report)]) == 0
    assert json.loads(report.read_text())["key_ids"] == [said["key_id"]]
    verify = ["models", "verify", str(folder), "--public-key", f"{key}.pub", "--json", str(report)]
    pytest.importorskip("onnxruntime", reason="running models needs the extra cpu")
    assert main(["models", "verify", str(folder)]) == 0
    before = capsys.readouterr()
    assert f"says it is signed by {said['key_id']}" in before.out
    assert main(verify) == 0
    assert json.loads(report.read_text())["signed_by"] == said["key_id"]
    assert main([*verify, "--revoked", said["key_id"]]) == 2
    assert json.loads(report.read_text())["reason"] == "untrusted"
    assert main(["models", "keygen", "--out", str(key)]) == 2
    assert main(["models", "keygen", "--out", str(tmp_path)]) == 2
    assert main(["models", "keygen", "--out", "."]) == 2
    shown = capsys.readouterr()
    assert secret not in before.out + before.err + shown.out + shown.err
