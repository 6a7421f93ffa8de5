"""Objects by key: in an S3 bucket, or below a folder.

What a store is asked is bounded: so many requests at a time, so much waiting and so many tries for
each; who reads a large object gets it in pieces, as fast as they take them. Credentials come from
the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, or the machine's role)
or from a file as the AWS tools write it; they are in no URL, setting, log or error.
"""

from __future__ import annotations

import asyncio
import configparser
import os
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from nearcast.errors import ConfigError, NearcastError
from origin.config import ObjectsConfig

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Backend

PIECE_BYTES: Final = 256 * 1024
REQUESTS_MAX: Final = 64
TRIES_MAX: Final = 3
TRYING_S_MAX: Final = 5.0
CONNECT_S: Final = 3.0
SILENCE_S: Final = 10.0
"""Nothing came for so long: the request is given up."""
DELETES_A_REQUEST: Final = 1000

_STATUS = re.compile(r"status code: (\d{3}[A-Za-z ]*)")
_CREDENTIALS: Final = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")


class ObjectsError(NearcastError):
    """A store refused a request."""


class ObjectMissing(ObjectsError):
    """There is no object of that key."""


class ObjectsUnavailable(ObjectsError):
    """The store cannot be reached, is too slow or does not let us in: try again later."""


class ObjectInfo(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    size_bytes: int
    modified_wall_s: float


class ObjectReader:
    """Some bytes of an object, in pieces."""

    def __init__(self, result: Any, name: str) -> None:
        self.object_bytes: int = result.meta["size"]
        """Of the whole object."""
        self._stream: Any = result.stream(min_chunk_size=PIECE_BYTES)
        self._name = name

    async def read(self) -> bytes:
        """The next piece; empty at the end."""
        with _Translated(self._name):
            try:
                return bytes(await anext(self._stream))
            except StopAsyncIteration:
                return b""

    def close(self) -> None:
        self._stream = None  # dropping it ends the request


class ObjectStore:
    """Raises ObjectMissing, ObjectsUnavailable and ObjectsError."""

    def __init__(self, backend: Backend, name: str) -> None:
        self._backend = backend
        self._requests = asyncio.Semaphore(REQUESTS_MAX)
        self.name = name
        """For people."""

    @classmethod
    def of_config(
        cls, config: ObjectsConfig, environ: Mapping[str, str] | None = None
    ) -> ObjectStore:
        """Does not connect yet. Raises ConfigError for a URL of no use."""
        environ = os.environ if environ is None else environ
        parts = urlsplit(config.url)
        if parts.scheme == "s3" and parts.netloc and not (parts.query or parts.fragment):
            if "@" in parts.netloc:
                raise ConfigError(
                    "objects.url: credentials do not belong into the URL; put them into the "
                    "environment (AWS_ACCESS_KEY_ID, ...) or into objects.credentials_file"
                )
            return cls._of_bucket(parts.netloc, parts.path.strip("/"), config, environ)
        if parts.scheme in ("", "file") and parts.path and not parts.netloc:
            return cls.of_folder(Path(parts.path))
        raise ConfigError("objects.url: write s3://BUCKET/PREFIX or a folder")

    @classmethod
    def of_folder(cls, folder: Path) -> ObjectStore:
        from obstore.store import LocalStore

        with _Translated(str(folder)):
            return cls(LocalStore(folder.absolute(), mkdir=True), str(folder))

    @classmethod
    def _of_bucket(
        cls, bucket: str, prefix: str, config: ObjectsConfig, environ: Mapping[str, str]
    ) -> ObjectStore:
        from obstore.store import S3Store

        name = f"s3://{bucket}/{prefix}" if prefix else f"s3://{bucket}"
        options: dict[str, Any] = {}
        endpoint = (
            config.endpoint or environ.get("AWS_ENDPOINT_URL") or environ.get("AWS_ENDPOINT", "")
        )
        if endpoint:
            options["endpoint"] = endpoint
        if config.region:
            options["region"] = config.region
        if config.credentials_file:
            options |= _credentials(Path(config.credentials_file))
        with _Translated(name):
            backend = S3Store(
                bucket,
                prefix=prefix or None,
                client_options={
                    # Whoever names an endpoint without TLS has decided that.
                    "allow_http": endpoint.startswith("http://"),
                    "connect_timeout": timedelta(seconds=CONNECT_S),
                    "read_timeout": timedelta(seconds=SILENCE_S),
                    # Of a whole answer: a slow client may take its time with a large object.
                    "timeout": timedelta(hours=1),
                },
                retry_config={
                    "max_retries": TRIES_MAX - 1,
                    "retry_timeout": timedelta(seconds=TRYING_S_MAX),
                    "backoff": {
                        "init_backoff": timedelta(milliseconds=50),
                        "max_backoff": timedelta(seconds=1),
                        "base": 2,
                    },
                },
                **options,
            )
        return cls(backend, name)

    async def put(self, key: str, data: bytes | Path) -> None:
        """Whole or not at all: readers see the old object or the new."""
        async with self._asking(key):
            await self._backend.put_async(key, data)

    async def get(self, key: str) -> bytes:
        """All of it, in memory."""
        async with self._asking(key):
            return bytes(await (await self._backend.get_async(key)).bytes_async())

    async def read(self, key: str, first: int, size_bytes: int) -> ObjectReader:
        """`size_bytes` from `first` on."""
        async with self._asking(key):
            # An empty range is an error to S3.
            span = {"range": (first, first + size_bytes)} if size_bytes else {"head": True}
            result = await self._backend.get_async(key, options=span)  # type: ignore[arg-type]
            return ObjectReader(result, self._of(key))

    async def list(self, prefix: str = "") -> tuple[ObjectInfo, ...]:
        """All objects whose key begins with `prefix`, a whole part of the path, by key."""
        found: list[ObjectInfo] = []
        async with self._asking(prefix):
            async for batch in self._backend.list(prefix or None):
                found += [
                    ObjectInfo(
                        key=meta["path"],
                        size_bytes=meta["size"],
                        modified_wall_s=meta["last_modified"].timestamp(),
                    )
                    for meta in batch
                ]
        return tuple(sorted(found, key=lambda info: info.key))

    async def delete(self, keys: Sequence[str]) -> None:
        """Those that are not there are no error."""
        for first in range(0, len(keys), DELETES_A_REQUEST):
            portion = list(keys[first : first + DELETES_A_REQUEST])
            try:
                async with self._asking(portion[0]):
                    await self._backend.delete_async(portion)
            except ObjectMissing:
                # A folder says so for the first that is missing, and leaves the others.
                for key in portion:
                    await self._delete_one(key)

    async def _delete_one(self, key: str) -> None:
        try:
            async with self._asking(key):
                await self._backend.delete_async(key)
        except ObjectMissing:
            pass

    @asynccontextmanager
    async def _asking(self, key: str) -> AsyncIterator[None]:
        async with self._requests:
            with _Translated(self._of(key)):
                yield

    def _of(self, key: str) -> str:
        return f"{self.name}/{key}" if key else self.name


class _Translated:
    """The library's errors as ours. Theirs repeat answers of the server, which may hold what was
    signed: of them only a status or a kind of failure is told."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, NearcastError) or not isinstance(error, Exception):
            return
        from obstore.exceptions import (
            BaseError,
            PermissionDeniedError,
            UnauthenticatedError,
        )

        text = str(error).partition("\n\nDebug source")[0]
        if isinstance(error, FileNotFoundError):
            if "NoSuchBucket" in text:
                raise ObjectsUnavailable(f"{self._name}: there is no such bucket") from None
            raise ObjectMissing(f"{self._name}: there is no such object") from None
        if isinstance(error, PermissionDeniedError | UnauthenticatedError | PermissionError):
            raise ObjectsUnavailable(f"{self._name}: we are not let in") from None
        if isinstance(error, ValueError):
            raise ObjectsError(f"{self._name}: not a key or setting that works") from None
        if isinstance(error, BaseError | OSError):
            raise ObjectsUnavailable(f"{self._name}: {_reason(text)}") from None


def _reason(text: str) -> str:
    if (status := _STATUS.search(text)) is not None:
        return f"the store answers {status[1].strip()}"
    if "redential" in text or "169.254.169.254" in text:
        return "no credentials were found in the environment or in objects.credentials_file"
    if "HTTP error: " in text:
        return text.rpartition("HTTP error: ")[2].splitlines()[0]
    return "the store cannot be used"


def _credentials(file: Path) -> dict[str, str]:
    """Those of `[default]` in a file as ~/.aws/credentials is."""
    parser = configparser.ConfigParser(interpolation=None, default_section="nothing")
    try:
        parser.read_string(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"objects.credentials_file: {file}: {error.strerror}") from error
    except (configparser.Error, UnicodeDecodeError):
        # Not the library's words, which quote the line.
        raise ConfigError(f"objects.credentials_file: {file} is no file of sections") from None
    found = {
        name: parser["default"][name]
        for name in _CREDENTIALS
        if parser.has_section("default") and name in parser["default"]
    }
    if not {"aws_access_key_id", "aws_secret_access_key"} <= found.keys():
        raise ConfigError(
            f"objects.credentials_file: {file} must have aws_access_key_id and "
            "aws_secret_access_key in its section [default]"
        )
    return {name.removeprefix("aws_"): value for name, value in found.items()}
