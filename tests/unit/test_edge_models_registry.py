"""Asking the registry, and the folder of what was fetched, without processes or sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edge.config import EdgeConfig, ModelsConfig
from edge.drivers.model_metrics import model_metrics
from edge.drivers.model_store import STATE_FILE, ModelStore
from edge.drivers.models import Models, RegistryFigures
from edge.drivers.upstream import UpstreamError
from edge.drivers.upstream.whole import Answer
from edge.events import Event, Headers
from edge.models.effects import RememberModels
from edge.models.events import ModelsFound, ModelsOffered, RefusedModel, Remembered, refusal
from nearcast.errors import ConfigError
from nearcast.model_index import INDEX_PATH, ModelIndex
from predictor.keys import KeyPair
from tests.models_bench import ModelsBench, offer

KEY = KeyPair.generate().public_text
LIMIT_S = 20.0


class Upstream:
    """Answers as told, and remembers what it was asked for."""

    def __init__(self, answer: Callable[[int], Answer]) -> None:
        self.asked: list[tuple[str, Headers]] = []
        self._answer = answer
        self.done = asyncio.Event()

    async def get(self, url: str, headers: Headers, *, bytes_max: int, timeout_s: float) -> Answer:
        self.asked.append((url, headers))
        if len(self.asked) == 3:
            self.done.set()
        answer = self._answer(len(self.asked))
        if answer.body is not None and len(answer.body) > bytes_max:
            return msgspec.structs.replace(answer, body=None)
        return answer


def poll(answer: Callable[[int], Answer]) -> tuple[Upstream, Models, list[Event]]:
    """Ask three times."""

    async def main() -> tuple[Upstream, Models, list[Event]]:
        upstream = Upstream(answer)
        told: list[Event] = []
        config = EdgeConfig(
            upstream="http://origin:80/base",
            models=ModelsConfig(public_keys=(KEY,), poll_s=0.001),
        )

        def spawn(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
            return asyncio.get_running_loop().create_task(work, name=name)

        jitter = np.random.Generator(np.random.PCG64(1))
        models = Models(config, upstream, told.append, spawn, jitter=jitter)
        async with asyncio.timeout(LIMIT_S):
            await models.start()
            await upstream.done.wait()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await models.close()
        return upstream, models, told

    return asyncio.run(main())


def index() -> bytes:
    return msgspec.json.encode(ModelIndex(revision="0", kinds={"next-episode": ()}))


def test_a_list_that_has_not_changed_is_not_told_again() -> None:
    def answer(number: int) -> Answer:
        if number == 1:
            return Answer(status=200, headers=(("etag", '"a"'),), body=index())
        return Answer(status=304, headers=(), body=b"")

    upstream, models, told = poll(answer)
    assert upstream.asked[0][0] == f"http://origin:80/base{INDEX_PATH}"
    assert ("if-none-match", '"a"') not in upstream.asked[0][1]
    assert ("if-none-match", '"a"') in upstream.asked[1][1]
    assert [type(one) for one in told] == [ModelsFound, ModelsOffered]
    assert models.figures().state == "ok"


@pytest.mark.parametrize(
    "body", [b"[]", b"{" * 5_000, b" " * 1_100_000, b'{"format_version": 2}', b"\xff\xfe", None]
)
def test_a_list_that_is_none_is_counted_and_changes_nothing(body: bytes | None) -> None:
    def answer(number: int) -> Answer:
        if body is None:
            raise UpstreamError("refused", "nobody there")
        return Answer(status=200, headers=(), body=body)

    _, models, told = poll(answer)
    assert [type(one) for one in told] == [ModelsFound]
    assert models.figures().state.startswith("failing: ")
    assert models.figures().failure_count >= 2


def test_without_keys_it_is_not_asked_and_says_so() -> None:
    async def main() -> tuple[str, list[Event]]:
        told: list[Event] = []

        def spawn(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
            raise AssertionError("nothing is to be done")

        config = EdgeConfig(upstream="http://origin")
        jitter = np.random.Generator(np.random.PCG64(1))
        upstream = Upstream(lambda _: Answer(status=500, headers=(), body=b""))
        models = Models(config, upstream, told.append, spawn, jitter=jitter)
        await models.start()
        return models.figures().state, told

    state, told = asyncio.run(main())
    assert "public_keys is empty" in state
    assert told == [ModelsFound(local="default")]


def test_keys_that_are_none_and_services_that_are_not_there_stop_the_node_with_a_word() -> None:
    async def main(models: ModelsConfig) -> None:
        config = EdgeConfig(upstream="http://origin", models=models)
        jitter = np.random.Generator(np.random.PCG64(1))
        upstream = Upstream(lambda _: Answer(status=500, headers=(), body=b""))
        await Models(config, upstream, print, None, jitter=jitter).start()  # type: ignore[arg-type]

    with pytest.raises(ConfigError, match=r"models\.public_keys"):
        asyncio.run(main(ModelsConfig(public_keys=("nonsense",))))
    with pytest.raises(ConfigError, match=r"models\.revoked_keys: 'zz'"):
        asyncio.run(main(ModelsConfig(public_keys=(KEY,), revoked_keys=("zz",))))
    with pytest.raises(ConfigError, match=r"models\.service is 'vod'; there are default"):
        asyncio.run(main(ModelsConfig(public_keys=(KEY,), service="vod")))


def test_the_folder_has_whole_models_and_what_is_remembered(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    assert store.open() == ((), Remembered())
    files = {"manifest.json": b"{}", "model.onnx": b"graph"}
    held = store.keep("m1", files)
    store.keep("m2", files)
    refused = RefusedModel(model_id="m3", manifest_sha256="0" * 64, reason="worse", detail="so")
    remembered = Remembered(local="default", active="m1", refused=(refused,))
    (tmp_path / "models" / ".m9.part").mkdir()
    store.remember(remembered, ("m1",))
    again = ModelStore(tmp_path)
    assert again.open() == ((held,), remembered)
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == [STATE_FILE, "m1"]
    (tmp_path / "models" / STATE_FILE).write_bytes(b"\x00 cut off")
    assert again.open() == ((held,), Remembered())


def test_a_model_that_cannot_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    store.open()
    store.keep("m1", {"manifest.json": b"{}"})
    with pytest.raises(OSError, match="no/such"):
        store.keep("m1", {"no/such/folder": b""})
    assert [one.model_id for one in ModelStore(tmp_path).open()[0]] == ["m1"]


def test_without_a_store_models_go_with_the_node() -> None:
    store = ModelStore(None)
    store.open()
    held = store.keep("m1", {"manifest.json": b"{}"})
    store.remember(RememberModels(remembered=Remembered(), kept=("m1",)).remembered, ("m1",))
    assert Path(held.folder).is_dir()
    store.close()
    assert not Path(held.folder).parent.exists()


def test_what_is_wrong_with_a_model_is_counted_by_the_word_that_the_error_has() -> None:
    words = ("unreadable", "oversized", "schema", "changed", "unsigned", "untrusted", "revoked")
    for word in (*words, "forged", "graph", "golden", "unusable"):  # nearcast.errors.ModelError
        assert refusal(word) == word
    assert refusal("unheard of") == "unusable"


def test_what_came_true_is_measured_by_role_and_horizon() -> None:
    bench = ModelsBench()
    bench.begin()
    bench.shadow(offer("m2"))
    bench.watch(50)
    registry = RegistryFigures(state="ok", poll_count=1, failure_count=0, fetched_bytes=0)
    families = {one.name: one for one in model_metrics(bench.lifecycle.figures(0.0), registry)}
    counts = {
        (sample.labels["role"], sample.labels["horizon"]): sample.value
        for sample in families["nearcast_edge_model_outcomes"].samples
    }
    known = {"30min": 50.0, "24h": 50.0, "7d": 0.0}
    assert counts == {
        (role, horizon): count for role in ("active", "shadow") for horizon, count in known.items()
    }
    losses = families["nearcast_edge_model_log_loss"].samples
    assert {sample.labels["horizon"] for sample in losses} == {"30min", "24h"}
