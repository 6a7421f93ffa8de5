"""The servers that tests start: they answer, keep what they hold, and leave nothing behind."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from tests.servers import NatsServer, PostgresServer, S3Server


def test_each_test_has_an_empty_database(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    name = postgres_url.rpartition("/")[2]

    (row,) = postgres_server.execute(
        f"SELECT count(*) AS count FROM pg_database WHERE datname = '{name}'"
    )

    assert row["count"] == 1
    other = postgres_server.create_database()
    assert other != name
    postgres_server.drop_database(other)


def test_nats_keeps_its_streams_over_a_restart(nats_server: NatsServer, nats_url: str) -> None:
    async def use(publish: bool) -> int:
        import nats

        client = await nats.connect(nats_url)
        try:
            stream = client.jetstream()
            if publish:
                await stream.add_stream(name="TEST", subjects=["test.>"])
                await stream.publish("test.one", b"hello")
            return int((await stream.stream_info("TEST")).state.messages)
        finally:
            await client.close()

    assert asyncio.run(use(publish=True)) == 1
    nats_server.stop()
    nats_server.start()
    assert asyncio.run(use(publish=False)) == 1


def test_s3_keeps_its_objects_over_a_restart(s3_server: S3Server, s3_url: str) -> None:
    from obstore.store import S3Store

    bucket = s3_url.split("/")[2]
    store = S3Store(bucket)
    store.put("a/b", b"hello")
    s3_server.stop()
    s3_server.start()

    assert bytes(store.get("a/b").bytes()) == b"hello"


@pytest.mark.parametrize("required", [True, False])
def test_a_server_that_is_not_installed_skips_or_in_ci_fails(required: bool) -> None:
    code = "import pytest, tests.servers as s; s.missing('PostgreSQL is not installed')"
    environ = {**os.environ, "NEARCAST_REQUIRE_SERVERS": "1" if required else ""}

    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False
    )

    assert ("Failed" if required else "Skipped") in done.stderr
    assert "PostgreSQL is not installed" in done.stderr
