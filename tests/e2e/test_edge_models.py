"""Models of the registry on a real edge: how they come, are refused, die, and what serves then."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from typer.testing import CliRunner

from edge.cli import edge as commands
from nearcast.model_index import INDEX_PATH, ModelIndex, OfferedFile, OfferedModel
from predictor import artifact
from predictor.keys import KeyPair
from predictor.runtime import default_model_folder
from predictor.signature import SIGNATURE_FORMAT_VERSION, SignatureFile
from tests.e2e.conftest import eventually

if TYPE_CHECKING:
    from tests.e2e.conftest import EdgeProcess, Exchange, FaultyOrigin, StartEdge

pytest.importorskip("onnxruntime", reason="running models needs the extra cpu")

KEY, STRANGER = KeyPair.generate(), KeyPair.generate()
SHIPPED = artifact.load(default_model_folder())
Change = Callable[[Path], None]


class Registry:
    """What an origin's registry serves, and a way to spoil it."""

    def __init__(self, origin: FaultyOrigin, folder: Path) -> None:
        self._origin = origin
        self._folder = folder
        self._models: list[OfferedModel] = []
        self.publish()

    def add(
        self,
        model_id: str,
        *,
        key: KeyPair | None = KEY,
        manifest: dict[str, Any] | None = None,
        model: bytes = SHIPPED.model,
        spoil: Change = lambda folder: None,
        serve: dict[str, Callable[[Exchange], None]] | None = None,
    ) -> None:
        """List the shipped model under another name; `manifest` are fields that differ, `spoil`
        changes the folder after it was signed, `serve` how single files are answered."""
        folder = self._folder / model_id
        fields = {"model_id": model_id, "sha256": artifact.digest(model), "size_bytes": len(model)}
        artifact.write(
            folder, model, msgspec.structs.replace(SHIPPED.manifest, **fields, **(manifest or {}))
        )
        if key is not None:
            sign(folder, key)
        spoil(folder)
        number = len(self._models) + 1
        url = f"/models/{model_id}-{number}/"
        files = {}
        for path in sorted(folder.iterdir()):
            content = path.read_bytes()
            files[path.name] = OfferedFile(sha256=artifact.digest(content), size_bytes=len(content))
            self._origin.serve(url + path.name, content)
            if serve is not None and path.name in serve:
                self._origin.routes[url + path.name] = serve[path.name]
        self._models.insert(
            0,
            OfferedModel(
                model_id=model_id,
                released_no=number,
                size_bytes=sum(file.size_bytes for file in files.values()),
                url=url,
                manifest_sha256=files["manifest.json"].sha256,
                files=files,
            ),
        )

    def publish(self) -> None:
        index = ModelIndex(revision="0", kinds={"next-episode": tuple(self._models)})
        self._origin.serve(INDEX_PATH, msgspec.json.encode(index))

    def withdraw(self) -> None:
        self._models.clear()
        self.publish()


def sign(folder: Path, key: KeyPair) -> None:
    """As `nearcast models sign`, which refuses what is wrong with a model besides."""
    word = key.sign((folder / artifact.MANIFEST_FILE).read_bytes())
    signed = SignatureFile(format_version=SIGNATURE_FORMAT_VERSION, signatures=(word,))
    (folder / artifact.SIGNATURE_FILE).write_bytes(msgspec.json.encode(signed))


@pytest.fixture
def registry(origin: FaultyOrigin, tmp_path: Path) -> Registry:
    return Registry(origin, tmp_path)


def settings(**models: object) -> tuple[str, ...]:
    values = {"poll_s": 0.1, "public_keys": KEY.public_text, **models}
    pairs = (f"models.{name}={value}" for name, value in values.items())
    return tuple(word for pair in pairs for word in ("--set", pair))


def models_of(edge: EdgeProcess) -> dict[str, Any]:
    report = json.loads(edge.get("/.nearcast/models").body)
    assert isinstance(report, dict)
    return report


def states(edge: EdgeProcess) -> dict[str, str]:
    return {one["model_id"]: one["state"] for one in models_of(edge)["models"]}


def longer(folder: Path) -> None:
    path = folder / artifact.MANIFEST_FILE
    path.write_bytes(path.read_bytes() + b"\n")


def without_columns(names: tuple[str, ...]) -> tuple[str, ...]:
    return (*names[:-1], "shoe_size")


def test_models_that_may_not_serve_are_refused_and_counted_while_the_old_one_answers(
    origin: FaultyOrigin, start_edge: StartEdge, registry: Registry
) -> None:
    golden = SHIPPED.manifest.golden
    wrong = tuple(tuple(1.0 - value for value in row) for row in golden.outputs)
    names = SHIPPED.manifest.feature_names
    registry.add("bare", key=None)
    registry.add("foreign", key=STRANGER)
    registry.add("forged", spoil=longer)
    registry.add("other-features", manifest={"feature_names": without_columns(names)})
    registry.add("no-graph", model=b"\x08\x09" + b"nonsense" * 100)
    registry.add(
        "other-answers", manifest={"golden": msgspec.structs.replace(golden, outputs=wrong)}
    )
    registry.add("cut-off", serve={"model.onnx": lambda to: to.reply(SHIPPED.model[:-9])})
    registry.add("swollen", serve={"model.onnx": lambda to: to.reply(SHIPPED.model + b"0")})
    registry.add("swapped", serve={"model.onnx": lambda to: to.reply(SHIPPED.model[:-1] + b"0")})
    registry.add("gone", serve={"model.onnx": lambda to: to.reset()})
    registry.publish()
    refused = {
        "unsigned": 1,
        "untrusted": 1,
        "forged": 1,
        "schema": 1,
        "graph": 1,
        "golden": 1,
        "truncated": 1,
        "oversized": 1,
        "changed": 1,
        "unreachable": 1,
    }
    # So seldom that nothing is tried twice; the first list comes within seconds all the same.
    with start_edge(origin.url, *settings(poll_s=3.0), prefetch=True) as edge:
        eventually(lambda: len(models_of(edge)["refusals"]) == len(refused))
        report = models_of(edge)
        assert report["refusals"] == dict(sorted(refused.items()))
        assert {one["model_id"] for one in report["refused"]} == {
            "other-features",
            "no-graph",
            "other-answers",
        }
        assert states(edge) == {SHIPPED.manifest.model_id: "active"}
        assert edge.status()["inference"]["restart_count"] == 0
        for reason in refused:
            line = f'nearcast_edge_model_refusals_total{{reason="{reason}"}} 1.0'
            assert line.encode() in edge.get("/metrics").body
    assert not origin.count("/models/bare-1/model.onnx")  # nobody trusted had signed for it


def test_whichever_process_is_killed_a_model_answers_and_a_good_one_stays_over_a_restart(
    origin: FaultyOrigin, start_edge: StartEdge, registry: Registry, tmp_path: Path
) -> None:
    shipped = SHIPPED.manifest.model_id
    store = ("--store", str(tmp_path / "store"))
    # Nobody watches here, so time alone has to decide.
    trial = settings(shadow_s_max=1.0, quiet_outcomes=0)
    with start_edge(origin.url, *store, *trial, prefetch=True) as edge:
        eventually(lambda: states(edge) == {shipped: "active"})
        registry.add("first")
        registry.publish()
        eventually(lambda: states(edge) == {shipped: "active", "first": "shadow"})
        before = edge.status()["inference"]
        os.kill(before["shadow_pid"], signal.SIGKILL)
        eventually(lambda: models_of(edge)["refusals"] == {"failed": 1})
        after = edge.status()
        assert (after["model_id"], after["inference"]["pid"]) == (shipped, before["pid"])
        registry.add("second")
        registry.publish()
        eventually(lambda: states(edge) == {"second": "probation", shipped: "previous"})
        before = edge.status()["inference"]
        os.kill(before["pid"], signal.SIGKILL)
        eventually(lambda: edge.status()["model_id"] == shipped)
        assert edge.status()["inference"]["pid"] == before["shadow_pid"]
        assert models_of(edge)["rollbacks"] == {"failed": 1}
        registry.add("third")
        registry.publish()
        eventually(lambda: states(edge) == {"third": "active"})
        assert edge.status()["model_id"] == "third"
        metrics = edge.get("/metrics").body
        assert b"nearcast_edge_model_switches_total 4.0" in metrics
        assert b"nearcast_edge_model_registry_up 1.0" in metrics
        shown = CliRunner().invoke(commands, ["models", "--edge", edge.url])
        assert shown.exit_code == 0, shown.output
        assert "third: active" in shown.output
        assert not [line for line in shown.output.splitlines() if len(line) > 80]
    with start_edge(origin.url, *store, *settings(), prefetch=True) as edge:
        eventually(lambda: states(edge) == {"third": "active"})
        registry.withdraw()
        eventually(lambda: states(edge) == {shipped: "active"})
        assert models_of(edge)["rollbacks"] == {"withdrawn": 1}
