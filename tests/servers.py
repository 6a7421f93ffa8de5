"""Real servers for tests: PostgreSQL, NATS with JetStream, and an S3 server (moto).

Each test process starts its own, on first use and on a free port of loopback, in a private folder
that is removed at the end. A server that is not installed makes its tests skip and say what to
install, unless NEARCAST_REQUIRE_SERVERS=1 (as in CI): then they fail. A test that was killed leaves
no server running where `setpriv` is there to tie them to the test process.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, NoReturn

import pytest

from tests.ports import free_port

STARTS_WITHIN_S: Final = 30.0
REQUIRED: Final = os.environ.get("NEARCAST_REQUIRE_SERVERS", "") not in ("", "0")
_pause = threading.Event()
# A server tied to its starter ends with the *thread* that started it: this one outlives all tests.
_starter = ThreadPoolExecutor(1, thread_name_prefix="servers")


def missing(what: str) -> NoReturn:
    if REQUIRED:
        pytest.fail(f"{what} (NEARCAST_REQUIRE_SERVERS is set)")
    pytest.skip(what)


@contextmanager
def private_folder(prefix: str) -> Iterator[Path]:
    """Not below pytest's own folder, into which no other user may look."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class PostgresServer:
    """A PostgreSQL server without a password and without fsync."""

    USER: Final = "nearcast"

    def __init__(self, folder: Path) -> None:
        self._programs = _postgres_programs()
        self._folder = folder
        self._user = "postgres" if os.geteuid() == 0 else None
        self._numbers = itertools.count(1)
        self._strategy = ""
        self._data = folder / "data"
        if self._user is not None:
            entry = _account(self._user)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        self._log = (folder / "log").open("ab")
        made = subprocess.run(
            self._as_user(
                "initdb", "--no-sync", "-A", "trust", "-U", self.USER, "-E", "UTF8", "--locale=C",
                "-D", str(self._data),
            ),
            stdout=self._log, stderr=subprocess.STDOUT, timeout=STARTS_WITHIN_S * 2, cwd=folder,
        )  # fmt: skip
        assert made.returncode == 0, (folder / "log").read_text()
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Also after `stop` or `kill`: at the same port."""
        for _ in range(3):  # another process may take the free port first
            port = self.port or free_port()
            settings = {
                "port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "",
                "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off",
                "autovacuum": "off", "shared_buffers": "16MB", "max_connections": 60,
            }  # fmt: skip
            options = [
                text for name, value in settings.items() for text in ("-c", f"{name}={value}")
            ]
            self._process = _spawn(
                self._as_user("postgres", "-D", str(self._data), *options),
                stdout=self._log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
            )
            if self._answers(port):
                self.port = port
                return
            self.stop()
        raise AssertionError((self._folder / "log").read_text())

    def url(self, database: str) -> str:
        return f"postgresql://{self.USER}@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str) -> list[Any]:
        """As the administrator; the rows of the answer."""

        async def run() -> list[Any]:
            import asyncpg  # type: ignore[import-untyped,unused-ignore]

            connection = await asyncpg.connect(self.url("postgres"))
            try:
                return list(await connection.fetch(statement))
            finally:
                await connection.close()

        return asyncio.run(run())

    def create_database(self, template: str = "template1") -> str:
        """Empty, or like another to which nobody is connected."""
        name = f"test{next(self._numbers)}_{secrets.token_hex(3)}"
        if not self._strategy:
            (row,) = self.execute("SELECT current_setting('server_version_num')::int AS version")
            # Copying files is the fastest where nothing is flushed; older servers do just that.
            self._strategy = "STRATEGY FILE_COPY" if row["version"] >= 150_000 else " "
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" {self._strategy}')
        return name

    def drop_database(self, name: str) -> None:
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def kill_connections(self, database: str) -> int:
        """Ends every connection to it; how many there were."""
        return len(
            self.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                f"WHERE datname = '{database}'"
            )
        )

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(2)  # SIGINT: a fast shutdown, whoever is connected
            self._process.wait(STARTS_WITHIN_S)
            self._process = None

    def close(self) -> None:
        self.stop()
        self._log.close()

    def _as_user(self, program: str, *arguments: str) -> list[str]:
        command = [str(self._programs / program), *arguments]
        if (setpriv := shutil.which("setpriv")) is None:
            if self._user is None:
                return command
            runuser = shutil.which("runuser") or missing(
                "runuser or setpriv (util-linux) is needed"
            )
            return [runuser, "-u", self._user, "--", *command]
        user = [] if self._user is None else [f"--reuid={self._user}", f"--regid={self._user}"]
        groups = [] if self._user is None else ["--clear-groups"]
        return [setpriv, *user, *groups, "--pdeathsig", "INT", *command]

    def _answers(self, port: int) -> bool:
        assert self._process is not None
        ready = [str(self._programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
        for _ in range(int(STARTS_WITHIN_S / 0.02)):
            if self._process.poll() is not None:
                return False
            if subprocess.run(ready, timeout=STARTS_WITHIN_S).returncode == 0:
                return True
            _pause.wait(0.02)
        return False


class NatsServer:
    """A NATS server with JetStream."""

    def __init__(self, folder: Path) -> None:
        # Debian puts it where users do not look.
        program = shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin")
        if program is None:
            missing("nats-server is not installed (Debian package nats-server)")
        self._program: str = program
        self._folder = folder
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Also after `stop`: at the same port, with what its streams held."""
        for _ in range(3):
            port = self.port or free_port()
            command = [
                *_tied("TERM"), self._program, "-js", "-sd", str(self._folder),
                "-a", "127.0.0.1", "-p", str(port), "-l", str(self._folder / "log"),
            ]  # fmt: skip
            self._process = _spawn(command)
            if self._answers(port):
                self.port = port
                return
            self.stop()
        raise AssertionError((self._folder / "log").read_text())

    def delete_streams(self) -> None:
        async def run() -> None:
            import nats

            client = await nats.connect(self.url)
            try:
                stream = client.jetstream()
                for info in await stream.streams_info():
                    await stream.delete_stream(str(info.config.name))
            finally:
                await client.close()

        asyncio.run(run())

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(STARTS_WITHIN_S)
            self._process = None

    def _answers(self, port: int) -> bool:
        assert self._process is not None
        for _ in range(int(STARTS_WITHIN_S / 0.02)):
            if self._process.poll() is not None:
                return False
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=1.0) as client:
                    if client.recv(4) == b"INFO":
                        return True
            except OSError:
                pass
            _pause.wait(0.02)
        return False


class S3Server:
    """moto's S3 in this process: what it holds survives `stop` and `start`."""

    # Anything does, but without any there is no signature.
    KEY_ID: Final = "test-key-id"
    SECRET: Final = "test-secret-key"

    def __init__(self) -> None:
        try:
            from moto.server import ThreadedMotoServer
        except ImportError:
            missing("moto is not installed (pip install 'moto[s3]' flask-cors)")
        self._make = ThreadedMotoServer
        self.port = 0
        self._server: Any = None
        self._numbers = itertools.count(1)
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        """What a client needs to find it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": self.KEY_ID,
            "AWS_SECRET_ACCESS_KEY": self.SECRET,
        }

    def start(self) -> None:
        self._server = self._make(ip_address="127.0.0.1", port=self.port, verbose=False)
        self._server.start()
        self.port = self._server.get_host_and_port()[1]

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None

    def create_bucket(self) -> str:
        import http.client

        name = f"test-{next(self._numbers)}-{secrets.token_hex(3)}"
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=STARTS_WITHIN_S)
        try:
            client.request("PUT", f"/{name}", headers={"content-length": "0"})
            answer = client.getresponse()
            assert answer.status == 200, answer.read()
        finally:
            client.close()
        return name


def _spawn(command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, **options)

    return _starter.submit(start).result()


def _tied(signal_name: str) -> Sequence[str]:
    """Ends the server when the test process dies, however it dies."""
    setpriv = shutil.which("setpriv")
    return () if setpriv is None else (setpriv, "--pdeathsig", signal_name)


def _account(user: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(user)
    except KeyError:
        missing("root may not run PostgreSQL, and there is no user postgres")


def _postgres_programs() -> Path:
    """The folder of initdb and postgres, the newest where there are several."""
    if (found := shutil.which("initdb")) is not None:
        return Path(found).resolve().parent
    folders = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda file: int(file.parts[-3])
    )
    if not folders:
        missing("PostgreSQL is not installed (Debian package postgresql)")
    return folders[-1].parent


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    pytest.importorskip("asyncpg", reason="asyncpg is not installed")
    with ExitStack() as stack:
        folder = stack.enter_context(private_folder("nearcast-postgres-"))
        server = PostgresServer(folder)
        stack.callback(server.close)
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """An empty database of its own for each test."""
    name = postgres_server.create_database()
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def nats_server() -> Iterator[NatsServer]:
    pytest.importorskip("nats", reason="nats-py is not installed")
    with private_folder("nearcast-nats-") as folder:
        server = NatsServer(folder)
        yield server
        server.stop()


@pytest.fixture
def nats_url(nats_server: NatsServer) -> Iterator[str]:
    """A server without streams."""
    nats_server.delete_streams()
    yield nats_server.url
    nats_server.delete_streams()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.stop()


@pytest.fixture
def s3_url(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """`s3://bucket/prefix` of an empty bucket; the environment says how to reach it."""
    for name, value in s3_server.environ.items():
        monkeypatch.setenv(name, value)
    return f"s3://{s3_server.create_bucket()}/library"
