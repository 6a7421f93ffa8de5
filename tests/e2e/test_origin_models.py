"""A model from training to an edge's hands: key, signature, registry, HTTP, and verified again."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import aiohttp
import pytest

from nearcast.main import main
from nearcast.model_index import INDEX_PATH, ModelIndex, read_index
from origin.assemble import Origin
from origin.config import OriginConfig
from predictor import artifact
from predictor.runtime import NextEpisodeModel, default_model_folder
from predictor.signature import Trust

pytest.importorskip("onnxruntime", reason="running models needs the extra cpu")
WAIT_S = 20.0


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    """A copy of the shipped model, signed by the commands; the key lies beside it."""
    folder = Path(shutil.copytree(default_model_folder(), tmp_path / "model"))
    assert main(["models", "keygen", "--out", str(tmp_path / "key")]) == 0
    assert main(["models", "sign", str(folder), "--key", str(tmp_path / "key")]) == 0
    return folder


def command(library: Path, *words: str) -> int:
    return main(["origin", "models", *words, "--library", str(library)])


async def index_of(session: aiohttp.ClientSession) -> ModelIndex:
    async with session.get(INDEX_PATH) as answer:
        assert answer.status == 200
        return read_index(await answer.read(), INDEX_PATH)


async def until(session: aiohttp.ClientSession, *, count: int) -> ModelIndex:
    async with asyncio.timeout(WAIT_S):
        while True:
            index = await index_of(session)
            if len(index.kinds.get("next-episode", ())) == count:
                return index


def test_a_signed_model_is_added_served_fetched_and_verified(signed: Path, tmp_path: Path) -> None:
    library, public = tmp_path / "library", f"{tmp_path / 'key'}.pub"

    async def run() -> None:
        origin = Origin(
            OriginConfig(library=str(library), listen="127.0.0.1:0", poll_s=0.02, drain_s=1.0)
        )
        url = await origin.start()
        try:
            async with aiohttp.ClientSession(url) as session:
                empty = await until(session, count=0)
                assert command(library, "add", str(signed), "--public-key", public) == 0
                index = await until(session, count=1)
                assert index.revision != empty.revision
                (offered,) = index.kinds["next-episode"]
                fetched = tmp_path / "fetched"
                fetched.mkdir()
                for name, file in offered.files.items():
                    async with session.get(offered.url + name) as answer:
                        content = await answer.read()
                        assert "immutable" in answer.headers["cache-control"]
                    assert artifact.file_entry(content).sha256 == file.sha256
                    (fetched / name).write_bytes(content)
                model = NextEpisodeModel.load(fetched, trust=Trust.read([public]))
                assert model.manifest.model_id == offered.model_id

                async with session.get(INDEX_PATH) as answer:
                    seen = {"if-none-match": answer.headers["etag"]}
                    assert answer.headers["cache-control"].startswith("public, max-age=60,")
                async with session.get(INDEX_PATH, headers=seen) as answer:
                    assert answer.status == 304

                for path in ("/models/", "/models/../catalog.db", "/models/x/manifest.json"):
                    async with session.get(path) as answer:
                        assert answer.status == 404
                assert command(library, "withdraw", offered.model_id) == 0
                await until(session, count=0)
                async with session.get(f"{offered.url}model.onnx") as answer:
                    assert answer.status == 404
        finally:
            await origin.close()

    # The service itself must exist before it can serve: an empty library is one.
    assert command(library, "list") == 2
    assert command(library, "add", str(signed)) == 0
    assert command(library, "withdraw", artifact.read_manifest(signed).model_id) == 0
    asyncio.run(run())


def test_what_may_not_serve_is_not_added(
    signed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    library = tmp_path / "library"
    other = tmp_path / "other"
    assert main(["models", "keygen", "--out", str(other)]) == 0
    assert command(library, "add", str(signed), "--public-key", f"{other}.pub") == 2
    signature = signed / artifact.SIGNATURE_FILE
    kept = signature.read_bytes()
    signature.unlink()
    assert command(library, "add", str(signed)) == 2
    assert "nearcast models sign" in capsys.readouterr().err
    signature.write_bytes(kept)
    model = signed / artifact.MODEL_FILE
    model.write_bytes(model.read_bytes()[:-1])
    assert command(library, "add", str(signed)) == 2
    assert not list((library / "models").iterdir())
    capsys.readouterr()
    assert command(library, "add", str(tmp_path / "nowhere")) == 2
    assert "nowhere: it is no folder" in capsys.readouterr().err


def test_adding_twice_is_one_release_and_signing_anew_another(
    signed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    library, report = tmp_path / "library", tmp_path / "list.json"
    assert command(library, "add", str(signed)) == 0
    assert command(library, "add", str(signed)) == 0
    assert main(["models", "keygen", "--out", str(tmp_path / "new")]) == 0
    assert main(["models", "sign", str(signed), "--key", str(tmp_path / "new"), "--add"]) == 0
    assert command(library, "add", str(signed)) == 0
    assert command(library, "list", "--json", str(report)) == 0
    listed = json.loads(report.read_text())["models"]
    assert [one["released_no"] for one in listed] == [2, 1]
    assert len(listed[0]["signed_by"]) == 2
    assert command(library, "withdraw", listed[0]["name"]) == 0
    assert command(library, "withdraw", listed[0]["name"]) == 2
    assert listed[1]["model_id"] in capsys.readouterr().err
