"""An edge in the simulator: the real `EdgeCore`, its effects performed in virtual time.

It does what the live drivers do, with numbers of bytes in place of bytes: fills are bodies that
grow as the backhaul delivers them, waiters stream from them meanwhile, finished ones are kept or
let go as the core says. Hits are answered by `find_hit` alone and reported in batches.

The process can be killed and started again on what its disk holds; whatever it had under way ends
with it, and its clients see their connections reset.
"""

from __future__ import annotations

from collections.abc import Callable

from edge import effects, events
from edge.config import EdgeConfig
from edge.core import EdgeCore
from edge.pacing import CONNECTIONS_MAX
from edge.texts import read_manifest
from nearcast.errors import LocalProtocolError
from nearcast.local_time import UTC, LocalTime
from nearcast.record import Recorder
from simulation.edge_disk import EdgeDisk, Held
from simulation.edge_models import EdgeModels, Predictor
from simulation.edge_serving import DataPort
from simulation.edge_titles import EdgeTitles
from simulation.edge_transfers import CatalogReader, Fill
from simulation.scenario import Costs
from simulation.scheduler import Scheduler, SimulatedPump
from simulation.transport import Client, Exchange, Server
from simulation.wire import Path


class EdgeNode:
    """One edge: a server for its viewers, a client of the origin."""

    def __init__(
        self,
        name: str,
        config: EdgeConfig,
        backhaul: Path,
        origin: Server,
        scheduler: Scheduler,
        recorder: Recorder,
        costs: Costs,
        predictor: Predictor | None,
        why_none: str = "",
        *,
        local_time: LocalTime = UTC,
    ) -> None:
        """`local_time` is the viewers', as `config.sessions` says it."""
        self.name = name
        self.config = config
        self.scheduler = scheduler
        self.backhaul = backhaul
        self.disk = EdgeDisk(is_memory_only=config.store is None)
        self.fills: dict[int, Fill] = {}
        self.is_running = True
        self.upstream, self._prefetcher = (
            Client(backhaul, origin, scheduler, connection_limit=limit, name=name)
            for limit in (CONNECTIONS_MAX, config.prefetch.in_flight_max)
        )
        self._recorder = recorder
        self._costs = costs
        self._local_time = local_time
        self.titles = EdgeTitles(lambda: self.feed, scheduler, costs)
        self.models = EdgeModels(lambda: self.feed, scheduler, costs, predictor, why_none)
        self._begin_process(scheduler.clock.epoch_s)
        self._handlers: dict[type[effects.Effect], Callable[..., object]] = {
            effects.ServeObject: lambda effect: self.serving.serve_object(effect),
            effects.ServeFill: lambda effect: self.serving.serve_fill(effect),
            effects.ServeText: lambda effect: self.serving.serve_text(effect),
            effects.PassThrough: lambda effect: self.serving.pass_through(effect),
            effects.AbortResponse: lambda effect: self.serving.abort_response(effect),
            effects.StartFill: self._start_fill,
            # As live: a fetch that demand has joined stays on the connection it has.
            effects.SetFillPriority: lambda effect: None,
            effects.PauseFill: lambda effect: self._with_fill(effect.fill_id, Fill.pause),
            effects.ResumeFill: lambda effect: self._with_fill(effect.fill_id, Fill.resume),
            effects.CancelFill: self._cancel_fill,
            effects.CutFill: lambda effect: self._with_fill(effect.fill_id, Fill.cut),
            effects.ServeInterim: lambda effect: None,  # nobody here listens for them
            effects.StreamOnly: self._stream_only,
            effects.Commit: self._commit,
            effects.Discard: lambda effect: self.fills.pop(effect.fill_id, None),
            effects.UpdateStored: self._update_stored,
            effects.DropObject: lambda effect: self.disk.drop(effect.object_id),
            effects.SetInMemory: self._set_in_memory,
            effects.ReadObject: self._read_object,
            # At once: what it takes is nothing to what the fetch took.
            effects.ReadManifest: lambda effect: self.feed(read_manifest(effect)),
            effects.FetchCatalog: lambda effect: self._catalogs.fetch(effect),
            **self.models.handlers,
            **self.titles.handlers,
            effects.PurgeDone: lambda effect: None,
        }

    def _begin_process(self, epoch_s: float) -> None:
        self.core = EdgeCore.from_config(
            self.config,
            epoch_s=epoch_s,
            recorder=self._recorder,
            local_time=self._local_time,
        )
        self._pump: SimulatedPump[events.Event, effects.Effect] = SimulatedPump(
            self.core, self._perform, self.scheduler
        )
        self.feed: Callable[[events.Event], None] = self._pump.feed
        self.serving = DataPort(self, self._costs, self._recorder)
        self._catalogs = CatalogReader(self, self.upstream)

    def start(self) -> None:
        """Take up what the disk holds, and a model or none."""
        self.feed(events.Restored(objects=self.disk.restart()))
        self.models.start()
        self.titles.start()
        self._pump.wake()

    def kill(self) -> None:
        """The process ends at once, and with it all that it had under way."""
        self.is_running = False
        self._pump.stop()
        self.serving.end()
        for fill in self.fills.values():
            fill.cancel()
        self.fills.clear()

    def restart(self, clock_step_s: float = 0.0) -> None:
        """Start again on what the disk holds, with the wall clock so far off the true time."""
        self._begin_process(self.scheduler.clock.epoch_s + clock_step_s)
        self.is_running = True
        self.start()

    def break_model(self, is_broken: bool) -> None:
        """The inference process is gone, or is back."""
        self.models.break_all(is_broken)

    def refuse_upstream(self, is_refused: bool) -> None:
        """Whether nobody listens where this edge's upstream was."""
        self.upstream.is_refused = self._prefetcher.is_refused = is_refused

    def cut_backhaul(self, is_cut: bool) -> None:
        """Nothing gets through to upstream or back, until it does again."""
        for wire in (self.backhaul.up, self.backhaul.down):
            if is_cut:
                wire.cut()
            else:
                wire.mend()

    @property
    def turn_count(self) -> int:
        """Grows whenever something may have been decided."""
        return self._pump.turn_count

    # As a server.

    def requested(self, exchange: Exchange) -> None:
        if self.is_running:
            self.serving.requested(exchange)
        else:
            exchange.abort()

    def sent(self, exchange: Exchange) -> None:
        self.serving.answered(exchange, is_whole=True)

    def left(self, exchange: Exchange) -> None:
        self.serving.answered(exchange, is_whole=False)

    # Effects.

    def _perform(self, effect: effects.Effect) -> None:
        handler = self._handlers.get(type(effect))
        if handler is None:
            raise LocalProtocolError(f"nobody performs {type(effect).__name__}")
        handler(effect)

    def is_lost(self, object_id: str) -> bool:
        """Whether this object's body cannot be read; the core hears of it."""
        held = self.disk.get(object_id)
        if held is not None and self.disk.is_readable(held):
            return False
        self.feed(events.ObjectLost(object_id=object_id, detail="damaged"))
        return True

    def _start_fill(self, effect: effects.StartFill) -> None:
        client = self._prefetcher if effect.priority == "prefetch" else self.upstream
        self.fills[effect.fill_id] = Fill(self, effect, client)

    def fill_failed(self, fill: Fill, cause: events.FailureCause, detail: str) -> None:
        del self.fills[fill.fill_id]
        self.feed(events.FillFailed(fill_id=fill.fill_id, cause=cause, detail=detail))

    def _with_fill(self, fill_id: int, act: Callable[[Fill], None]) -> None:
        fill = self.fills.get(fill_id)
        if fill is not None:
            act(fill)

    def _stream_only(self, effect: effects.StreamOnly) -> None:
        fill = self.fills.get(effect.fill_id)
        if fill is not None:
            fill.is_stream_only = True

    def _cancel_fill(self, effect: effects.CancelFill) -> None:
        fill = self.fills.pop(effect.fill_id, None)
        if fill is not None:
            fill.cancel()

    def _commit(self, effect: effects.Commit) -> None:
        fill = self.fills.pop(effect.fill_id)
        self.disk.put(Held(effect.stored, fill.text, effect.in_memory))
        if self.disk.is_full:
            self.feed(events.ObjectLost(object_id=effect.stored.object_id, detail="disk full"))

    def _update_stored(self, effect: effects.UpdateStored) -> None:
        held = self.disk.get(effect.stored.object_id)
        if held is not None:
            held.stored = effect.stored

    def _set_in_memory(self, effect: effects.SetInMemory) -> None:
        held = self.disk.get(effect.object_id)
        if held is None:
            return
        if effect.in_memory and self.is_lost(effect.object_id):
            return
        held.in_memory = effect.in_memory

    def _read_object(self, effect: effects.ReadObject) -> None:
        feed = self.feed  # of this process: what it asked for is nobody's when it was killed

        def read() -> None:
            held = self.disk.get(effect.object_id)
            is_lost = held is not None and self.is_lost(effect.object_id)
            text = held.text if held is not None and not is_lost else None
            feed(events.ObjectRead(object_id=effect.object_id, text=text))

        self.scheduler.after(self._costs.disk_read_s, read)
