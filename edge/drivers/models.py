"""The registry of models at the origin: asked now and then, and fetched from.

    GET <upstream>/models/index.json   ->  ModelsOffered
    FetchModel: manifest and signature, then the files the manifest names  ->  ModelFetched

Only the configured upstream is asked, no more is read than a model of its kind may have, and the
large files are fetched only once a key that is trusted has signed for them. While the registry
fails it is asked less often. Without keys it is not asked at all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from edge.config import EdgeConfig
from edge.drivers.catalog import Getter
from edge.drivers.model_fetch import TIMEOUT_S, ModelFetch, ModelUnavailable
from edge.drivers.model_store import ModelStore
from edge.drivers.upstream import UpstreamError
from edge.events import Event, ModelChanged
from edge.models.effects import FetchModel, RememberModels
from edge.models.events import (
    ModelFetched,
    ModelRefused,
    ModelsFound,
    ModelsOffered,
    Offer,
)
from nearcast.errors import ConfigError, NearcastError, RemoteProtocolError
from nearcast.model_index import (
    INDEX_BYTES_MAX,
    INDEX_PATH,
    ModelIndex,
    read_index,
)
from predictor.kinds import KINDS
from predictor.signature import Trust

logger = logging.getLogger(__name__)

DOUBLINGS_MAX: Final = 5
"""Of the pause while the registry fails: 300 s become 2.7 hours."""
FIRST_S_MAX: Final = 5.0
"""A fleet that was started together need not ask together."""


class RegistryFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How asking the registry goes."""

    state: str
    """off, with the reason; waiting, before the first answer; ok; or what failed last."""
    poll_count: int
    failure_count: int
    """Times it gave no list."""
    fetched_bytes: int


class Models:
    """The poller and the folder of models. Make it inside the running loop."""

    def __init__(
        self,
        config: EdgeConfig,
        upstream: Getter,
        tell: Callable[[Event], None],
        spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
        *,
        jitter: np.random.Generator,
    ) -> None:
        self._config = config
        self._upstream = upstream
        self._tell = tell
        self._spawn = spawn
        self._jitter = jitter
        self._store = ModelStore(Path(config.store) if config.store is not None else None)
        self._lock = asyncio.Lock()  # over the folder; waiters are served in order
        self._source: ModelFetch | None = None
        self._base = ""
        self._etag: str | None = None
        self._state = "off"
        self._poll_count = 0
        self._failure_count = 0

    async def start(self) -> None:
        """Say what is there, and begin to ask. Raises ConfigError when keys cannot be used."""
        config = self._config
        if not config.prefetch.enabled or config.prefetch.model == "rule":
            why = "prefetch.model is rule" if config.prefetch.enabled else "prefetch is off"
            self._state = f"off: {why}"
            self._tell(ModelChanged(model_id=None, detail=why))
            return
        found = ModelsFound(local=config.prefetch.model)
        if not config.models.public_keys:
            self._state = "off: models.public_keys is empty, so no model there could be trusted"
        else:
            self._base = _base(config)
            self._source = ModelFetch(self._upstream, self._base, _trust(config))
            try:
                held, remembered = await asyncio.to_thread(self._store.open)
                found = msgspec.structs.replace(found, held=held, remembered=remembered)
                self._state = "waiting"
                self._spawn(self._poll(), "models")
            except OSError as error:
                self._state = f"off: {error}"
                logger.warning("models.no_store cause=%s; the registry is not asked", error)
        self._tell(found)

    def figures(self) -> RegistryFigures:
        return RegistryFigures(
            state=self._state,
            poll_count=self._poll_count,
            failure_count=self._failure_count,
            fetched_bytes=self._source.received_bytes if self._source is not None else 0,
        )

    def fetch(self, effect: FetchModel) -> None:
        self._spawn(self._fetch(effect.offer), "model")

    def remember(self, effect: RememberModels) -> None:
        if self._source is not None:
            self._spawn(self._remember(effect), "models state")

    async def close(self) -> None:
        await asyncio.to_thread(self._store.close)

    # -- the list

    async def _poll(self) -> None:
        poll_s = self._config.models.poll_s
        await asyncio.sleep(min(poll_s, FIRST_S_MAX) * self._jitter.uniform())
        failed_in_a_row = 0
        while True:
            self._poll_count += 1
            try:
                await self._ask()
            except UpstreamError as error:
                failed_in_a_row += 1
                self._failure_count += 1
                self._state = f"failing: {error}"
                logger.info("models.unlisted cause=%s", error)
            else:
                failed_in_a_row = 0
                self._state = "ok"
            doublings = min(failed_in_a_row, DOUBLINGS_MAX)
            await asyncio.sleep(poll_s * 2.0**doublings * self._jitter.uniform(0.8, 1.2))

    async def _ask(self) -> None:
        """Raises UpstreamError when there is no usable list."""
        headers = [("accept-encoding", "identity")]
        if self._etag is not None:
            headers.append(("if-none-match", self._etag))
        answer = await self._upstream.get(
            self._base + INDEX_PATH,
            tuple(headers),
            bytes_max=INDEX_BYTES_MAX,
            timeout_s=TIMEOUT_S,
        )
        if answer.status == 304:
            return
        if answer.status != 200:
            raise UpstreamError("broken", f"{INDEX_PATH} answers {answer.status}")
        if answer.body is None:
            raise UpstreamError("too_large", f"the list has more than {INDEX_BYTES_MAX} bytes")
        try:
            index = read_index(answer.body, INDEX_PATH)
        except RemoteProtocolError as error:
            raise UpstreamError("broken", str(error)) from error
        self._etag = next((value for name, value in answer.headers if name == "etag"), None)
        self._offer(index)

    def _offer(self, index: ModelIndex) -> None:
        offers = (
            Offer(
                kind=kind,
                model_id=model.model_id,
                url=model.url,
                manifest_sha256=model.manifest_sha256,
                order=model.released_no,
                files=model.files,
            )
            for kind, models in index.kinds.items()
            if kind in KINDS
            for model in models
        )
        self._tell(ModelsOffered(offers=tuple(offers)))

    # -- one model

    async def _fetch(self, offer: Offer) -> None:
        event: Event
        try:
            assert self._source is not None, "nothing is offered without"
            files = await self._source.files(offer)
            async with self._lock:
                held = await asyncio.to_thread(self._store.keep, offer.model_id, files)
            event = ModelFetched(held=held)
        except ModelUnavailable as error:
            event = ModelRefused(model_id=offer.model_id, reason=error.reason, detail=str(error))
        except UpstreamError as error:
            detail = f"{error.cause}: {error}"
            event = ModelRefused(model_id=offer.model_id, reason="unreachable", detail=detail)
        except OSError as error:
            detail = error.strerror or str(error)
            event = ModelRefused(model_id=offer.model_id, reason="disk", detail=detail)
        if isinstance(event, ModelRefused):
            logger.warning(
                "model.refused id=%s reason=%s detail=%s",
                event.model_id,
                event.reason,
                event.detail,
            )
        self._tell(event)

    async def _remember(self, effect: RememberModels) -> None:
        try:
            async with self._lock:
                await asyncio.to_thread(self._store.remember, effect.remembered, effect.kept)
        except OSError as error:
            logger.warning("models.not_written cause=%s", error)


def _trust(config: EdgeConfig) -> Trust:
    try:
        Trust.read((), revoked=config.models.revoked_keys)
    except NearcastError as error:
        raise ConfigError(f"models.revoked_keys: {error}") from error
    try:
        return Trust.read(config.models.public_keys, revoked=config.models.revoked_keys)
    except NearcastError as error:
        raise ConfigError(f"models.public_keys: {error}") from error


def _base(config: EdgeConfig) -> str:
    """The upstream whose registry is asked. Raises ConfigError."""
    services = config.service_configs()
    name = config.models.service
    for service in services:
        if name in ("", service.name):
            return service.base()
    raise ConfigError(
        f"models.service is {name!r}; there are {', '.join(service.name for service in services)}"
    )
