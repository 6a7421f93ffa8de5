"""Objects in a folder and in S3: the same promises."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from nearcast.errors import ConfigError
from origin.config import ObjectsConfig
from origin.drivers.objects import (
    PIECE_BYTES,
    ObjectMissing,
    ObjectsError,
    ObjectStore,
    ObjectsUnavailable,
)
from tests.servers import S3Server

T = TypeVar("T")
Run = Callable[[Callable[[ObjectStore], Awaitable[T]]], T]


def use(config: ObjectsConfig, work: Callable[[ObjectStore], Awaitable[T]]) -> T:
    async def whole() -> T:
        return await work(ObjectStore.of_config(config))

    return asyncio.run(whole())


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectsConfig:
    if request.param == "s3":
        return ObjectsConfig(url=request.getfixturevalue("s3_url"))
    return ObjectsConfig(url=str(tmp_path / "objects"))


def test_what_was_put_is_there_and_listed_until_it_is_deleted(
    place: ObjectsConfig, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"from a file")

    async def work(store: ObjectStore) -> None:
        await store.put("a/one", b"first")
        await store.put("a/one", b"second")
        await store.put("a/two", file)
        await store.put("ab/three", b"")
        assert await store.get("a/one") == b"second"
        assert await store.get("a/two") == b"from a file"
        assert await store.get("ab/three") == b""
        listed = await store.list("a/")
        assert [(info.key, info.size_bytes) for info in listed] == [("a/one", 6), ("a/two", 11)]
        assert len(await store.list()) == 3
        await store.delete(["a/missing", "a/one", "ab/three"])
        assert [info.key for info in await store.list()] == ["a/two"]
        for read in (store.get("a/one"), store.read("a/one", 0, 3)):
            with pytest.raises(ObjectMissing, match="a/one"):
                await read
        with pytest.raises(ObjectsError):
            await store.put("a/../../b", b"")

    use(place, work)


def test_a_part_is_read_in_pieces(place: ObjectsConfig) -> None:
    data = bytes(range(256)) * (3 * PIECE_BYTES // 256)

    async def work(store: ObjectStore) -> None:
        await store.put("large", data)
        reader = await store.read("large", 5, 2 * PIECE_BYTES)
        pieces = []
        while piece := await reader.read():
            pieces.append(piece)
        assert reader.object_bytes == len(data)
        assert len(pieces) > 1
        assert b"".join(pieces) == data[5 : 5 + 2 * PIECE_BYTES]
        reader = await store.read("large", 0, 0)
        assert reader.object_bytes == len(data)
        reader.close()

    use(place, work)


def test_a_store_that_is_down_says_so_and_comes_back(s3_server: S3Server, s3_url: str) -> None:
    async def work(store: ObjectStore) -> None:
        await store.put("a", b"x")
        await asyncio.to_thread(s3_server.stop)
        try:
            for ask in (store.get("a"), store.put("b", b""), store.list(), store.delete(["a"])):
                with pytest.raises(ObjectsUnavailable) as caught:
                    await ask
                assert store.name in str(caught.value)
        finally:
            await asyncio.to_thread(s3_server.start)
        assert await store.get("a") == b"x"

    use(ObjectsConfig(url=s3_url), work)


def test_a_bucket_that_is_not_there_is_named(s3_url: str) -> None:
    with pytest.raises(ObjectsUnavailable, match="no-such-bucket/x/a: there is no such bucket"):
        use(ObjectsConfig(url="s3://no-such-bucket/x"), lambda store: store.put("a", b""))


def test_credentials_come_from_a_file_and_are_never_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server repeats the whole request in its refusal, as real ones do."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "credentials"
    file.write_text(
        "[other]\naws_access_key_id = no\n"
        "[default]\naws_access_key_id = hunter-id\naws_secret_access_key = hunter-secret\n"
    )
    seen: list[bytes] = []

    def refuse(listener: socket.socket) -> None:
        client, _ = listener.accept()
        with client:
            seen.append(client.recv(65536))
            body = b"<Error><Code>SignatureDoesNotMatch</Code>" + seen[0] + b"</Error>"
            head = f"HTTP/1.1 403 Forbidden\r\nContent-Length: {len(body)}\r\n"
            client.sendall(f"{head}Connection: close\r\n\r\n".encode() + body)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=refuse, args=(listener,))
        thread.start()
        config = ObjectsConfig(
            url="s3://bucket",
            endpoint=f"http://127.0.0.1:{listener.getsockname()[1]}",
            region="us-east-1",
            credentials_file=str(file),
        )
        with pytest.raises(ObjectsUnavailable, match="s3://bucket/a: we are not let in") as caught:
            use(config, lambda store: store.get("a"))
        thread.join(10)

    assert b"Credential=hunter-id/" in seen[0]
    told = str(caught.value) + repr(caught.value.__cause__) + json.dumps(str(config))
    assert "hunter" not in told.replace(str(file), "")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("hunter2", "is no file of sections"),
        ("[default]\naws_access_key_id = hunter2\n", "must have"),
        (None, "No such file"),
    ],
)
def test_a_credentials_file_of_no_use_is_told_without_its_text(
    tmp_path: Path, text: str | None, problem: str
) -> None:
    file = tmp_path / "credentials"
    if text is not None:
        file.write_text(text)

    with pytest.raises(ConfigError, match=problem) as caught:
        ObjectStore.of_config(ObjectsConfig(url="s3://b", credentials_file=str(file)))

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["s3://", "http://host/x", "s3://id:hunter2@bucket", "s3://b?x=y"])
def test_a_url_of_no_use_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"objects\.url") as caught:
        ObjectStore.of_config(ObjectsConfig(url=url))

    assert "hunter2" not in str(caught.value)
