"""An edge in the simulator: the real `EdgeCore`, its effects performed in virtual time.

It does what the live drivers do, with numbers of bytes in place of bytes: fills are bodies that
grow as the backhaul delivers them, waiters stream from them meanwhile, finished ones are kept or
let go as the core says. Hits are answered by `find_hit` alone and reported in batches.

The process can be killed and started again on what its disk holds; whatever it had under way ends
with it, and its clients see their connections reset.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from edge import events
from edge.config import EdgeConfig
from edge.core import EdgeCore
from edge.pacing import CONNECTIONS_MAX, HITS_MAX
from nearcast.errors import LocalProtocolError
from nearcast.record import Recorder
from simulation.edge_disk import EdgeDisk, Held
from simulation.edge_transfers import CatalogReader, Fill, Passing, Waiter, target_of
from simulation.records import Answered
from simulation.scenario import Costs
from simulation.scheduler import Scheduler, SimulatedPump, Timer
from simulation.transport import Answer, Call, Client, Exchange, Request, Server
from simulation.wire import Path


class Predictor(Protocol):
    """Answers `Predict`: one probability per row."""

    model_id: str

    def probabilities(self, rows: tuple[tuple[float, ...], ...]) -> tuple[float, ...]: ...


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
    ) -> None:
        self.name = name
        self.config = config
        self.scheduler = scheduler
        self.backhaul = backhaul
        self.disk = EdgeDisk(is_memory_only=config.store is None)
        self.fills: dict[int, Fill] = {}
        self.hit_count = 0
        self.is_running = True
        self._upstream, self._prefetcher = (
            Client(backhaul, origin, scheduler, connection_limit=limit, name=name)
            for limit in (CONNECTIONS_MAX, config.prefetch.in_flight_max)
        )
        self._recorder = recorder
        self._costs = costs
        self._predictor = predictor
        self._why_none = why_none
        self._is_model_broken = False
        self._request_count = 0
        self._life_no = 0
        self._exchanges: dict[int, Exchange] = {}
        self._asked_s: dict[int, float] = {}
        self._request_ids: dict[Exchange, int] = {}
        self._begun: set[int] = set()  # of the open ones, those that have their answer
        self._hits: dict[Exchange, events.Hit] = {}
        self._passing: dict[int, Call] = {}
        self._ring: list[events.Hit] = []
        self._flush_timer: Timer | None = None
        self._begin_process(scheduler.clock.epoch_s)
        self._handlers: dict[type[events.Effect], Callable[..., object]] = {
            events.ServeObject: self._serve_object,
            events.ServeFill: self._serve_fill,
            events.ServeText: self._serve_text,
            events.PassThrough: self._pass_through,
            events.AbortResponse: self._abort_response,
            events.StartFill: self._start_fill,
            # As live: a fetch that demand has joined stays on the connection it has.
            events.SetFillPriority: lambda effect: None,
            events.PauseFill: lambda effect: self._with_fill(effect.fill_id, Fill.pause),
            events.ResumeFill: lambda effect: self._with_fill(effect.fill_id, Fill.resume),
            events.CancelFill: self._cancel_fill,
            events.StreamOnly: self._stream_only,
            events.Commit: self._commit,
            events.Discard: lambda effect: self.fills.pop(effect.fill_id, None),
            events.UpdateStored: self._update_stored,
            events.DropObject: lambda effect: self.disk.drop(effect.object_id),
            events.SetInMemory: self._set_in_memory,
            events.ReadObject: self._read_object,
            events.FetchCatalog: lambda effect: self._catalogs.fetch(effect),
            events.Predict: self._predict,
            events.PurgeDone: lambda effect: None,
        }

    def _begin_process(self, epoch_s: float) -> None:
        self.core = EdgeCore.from_config(self.config, epoch_s=epoch_s, recorder=self._recorder)
        self._catalogs = CatalogReader(self, self._upstream)
        self._pump: SimulatedPump[events.Event, events.Effect] = SimulatedPump(
            self.core, self._perform, self.scheduler
        )
        self.feed: Callable[[events.Event], None] = self._pump.feed

    def start(self) -> None:
        """Take up what the disk holds, and a model or none."""
        self.feed(events.Restored(objects=self.disk.restart()))
        self._tell_model()
        self._pump.wake()

    def kill(self) -> None:
        """The process ends at once, and with it all that it had under way."""
        self.is_running = False
        self._life_no += 1
        self._pump.stop()
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None
        self._ring.clear()
        for fill in self.fills.values():
            fill.cancel()
        for call in self._passing.values():
            self._upstream.cancel(call)
        open_exchanges = [*self._hits, *self._request_ids]
        for table in (self.fills, self._passing, self._hits, self._request_ids):
            table.clear()
        self._exchanges.clear()
        self._asked_s.clear()
        self._begun.clear()
        for exchange in open_exchanges:
            exchange.abort()

    def restart(self, clock_step_s: float = 0.0) -> None:
        """Start again on what the disk holds, with the wall clock so far off the true time."""
        self._begin_process(self.scheduler.clock.epoch_s + clock_step_s)
        self.is_running = True
        self.start()

    def break_model(self, is_broken: bool) -> None:
        """The inference process is gone, or is back."""
        self._is_model_broken = is_broken
        self._tell_model()

    def refuse_upstream(self, is_refused: bool) -> None:
        """Whether nobody listens where this edge's upstream was."""
        self._upstream.is_refused = self._prefetcher.is_refused = is_refused

    def cut_backhaul(self, is_cut: bool) -> None:
        """Nothing gets through to upstream or back, until it does again."""
        for wire in (self.backhaul.up, self.backhaul.down):
            if is_cut:
                wire.cut()
            else:
                wire.mend()

    def _tell_model(self) -> None:
        if self._predictor is None:
            self.feed(events.ModelChanged(model_id=None, detail=self._why_none))
        elif self._is_model_broken:
            self.feed(events.ModelChanged(model_id=None, detail="broken"))
        else:
            self.feed(events.ModelChanged(model_id=self._predictor.model_id))

    @property
    def turn_count(self) -> int:
        """Grows whenever something may have been decided."""
        return self._pump.turn_count

    @property
    def unanswered_count(self) -> int:
        """Requests the core was asked about and has not answered yet."""
        return len(self._exchanges.keys() - self._begun)

    def waited_s_max(self) -> float:
        """How long the oldest of these has waited."""
        waiting = [at_s for no, at_s in self._asked_s.items() if no not in self._begun]
        return self.scheduler.now_s() - min(waiting) if waiting else 0.0

    def _after(self, delay_s: float, call: Callable[[], None]) -> Timer:
        """As the scheduler's, unless the process is killed before."""
        life_no = self._life_no

        def call_if_alive() -> None:
            if self._life_no == life_no:
                call()

        return self.scheduler.after(delay_s, call_if_alive)

    # As a server.

    def requested(self, exchange: Exchange) -> None:
        if not self.is_running:
            exchange.abort()
            return
        self._after(self._costs.hit_s, lambda: self._look_up(exchange))

    def sent(self, exchange: Exchange) -> None:
        self._answered(exchange, is_whole=True)

    def left(self, exchange: Exchange) -> None:
        self._answered(exchange, is_whole=False)

    def _look_up(self, exchange: Exchange) -> None:
        if exchange.is_over:
            return
        self._request_count += 1
        request = events.Requested(
            request_id=self._request_count,
            method=exchange.request.method,
            target=exchange.request.target,
            headers=exchange.request.headers,
            client=exchange.client_name,
        )
        hit = self.core.find_hit(request, self.scheduler.now_s())
        if hit is None:
            self._after(self._costs.miss_s, lambda: self._ask_core(request, exchange))
            return
        if self._is_lost(hit.object_id):
            self._after(self._costs.miss_s, lambda: self._ask_core(request, exchange))
            return
        self.hit_count += 1
        self._hits[exchange] = events.Hit(
            at_s=self.scheduler.now_s(),
            target=request.target,
            headers=request.headers,
            client=request.client,
            object_id=hit.object_id,
            sent_bytes=0,
        )
        self._send_object(exchange, hit)

    def _ask_core(self, request: events.Requested, exchange: Exchange) -> None:
        if exchange.is_over:
            return
        self.flush_hits()  # the core hears of requests in the order they came
        self._exchanges[request.request_id] = exchange
        self._asked_s[request.request_id] = self.scheduler.now_s()
        self._request_ids[exchange] = request.request_id
        self.feed(request)

    def _answered(self, exchange: Exchange, *, is_whole: bool) -> None:
        hit = self._hits.pop(exchange, None)
        if hit is not None:
            self._report_hit(msgspec.structs.replace(hit, sent_bytes=exchange.sent_bytes))
            return
        request_id = self._request_ids.pop(exchange, None)
        if request_id is None:
            return  # left before it was looked at
        self._forget(request_id)
        call = self._passing.pop(request_id, None)
        kind = events.ResponseEnded if is_whole else events.ClientLeft
        if call is not None and not is_whole:
            self._upstream.cancel(call)
        self.feed(kind(request_id=request_id, sent_bytes=exchange.sent_bytes))

    def _forget(self, request_id: int) -> None:
        del self._exchanges[request_id]
        del self._asked_s[request_id]
        self._begun.discard(request_id)

    def _report_hit(self, hit: events.Hit) -> None:
        self._ring.append(hit)
        if len(self._ring) >= HITS_MAX:
            self.flush_hits()
        elif self._flush_timer is None:
            self._flush_timer = self._after(self._costs.hit_batch_s, self.flush_hits)

    def flush_hits(self) -> None:
        """Tell the core of the hits since the last time."""
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None
        if self._ring:
            hits, self._ring = tuple(self._ring), []
            self.feed(events.HitsServed(hits=hits))

    def _start_answer(self, exchange: Exchange, answer: Answer) -> None:
        self._recorder.record(
            Answered(
                at_s=self.scheduler.now_s(),
                node=self.name,
                client=exchange.client_name,
                target=exchange.request.target,
                status=answer.status,
                size_bytes=answer.body_bytes,
            )
        )
        exchange.start(answer)

    # Effects: answers.

    def _perform(self, effect: events.Effect) -> None:
        handler = self._handlers.get(type(effect))
        if handler is None:
            raise LocalProtocolError(f"nobody performs {type(effect).__name__}")
        handler(effect)

    def _waiting(self, request_id: int) -> Exchange | None:
        """Whom this answers; None when they have left meanwhile."""
        if request_id in self._begun:
            raise LocalProtocolError(f"{self.name}: request {request_id} is answered twice")
        self._begun.add(request_id)
        return self._exchanges.get(request_id)

    def _serve_object(self, effect: events.ServeObject) -> None:
        exchange = self._waiting(effect.request_id)
        if exchange is None:
            return
        if self._is_lost(effect.object_id):
            self._ask_again(effect.request_id, exchange)
        else:
            self._send_object(exchange, effect)

    def _ask_again(self, request_id: int, exchange: Exchange) -> None:
        """What the core said to serve is not there: it decides once more, as live."""
        del self._request_ids[exchange]
        self._forget(request_id)
        self.feed(events.ClientLeft(request_id=request_id))
        self._look_up(exchange)

    def _is_lost(self, object_id: str) -> bool:
        """Whether this object's body cannot be read; the core hears of it."""
        held = self.disk.get(object_id)
        if held is not None and self.disk.is_readable(held):
            return False
        self.feed(events.ObjectLost(object_id=object_id, detail="damaged"))
        return True

    def _send_object(self, exchange: Exchange, effect: events.ServeObject) -> None:
        held = self.disk.get(effect.object_id)
        assert held is not None, f"{effect.object_id} is not there"
        if not self.disk.is_readable(held):
            self.disk.damaged_served_count += 1
        size_bytes, text = held.stored.size_bytes, held.text
        if effect.byte_range is not None:
            size_bytes = effect.byte_range.size_bytes
            text = None
        if not effect.send_body:
            size_bytes, text = 0, None
        answer = Answer(
            status=effect.status, headers=effect.headers, body_bytes=size_bytes, text=text
        )

        def send() -> None:
            if not exchange.is_over:
                self._start_answer(exchange, answer)
                exchange.offer(size_bytes)

        if held.in_memory:
            send()
        else:
            self._after(self._costs.disk_read_s, send)

    def _serve_fill(self, effect: events.ServeFill) -> None:
        exchange = self._waiting(effect.request_id)
        if exchange is None:
            return
        fill = self.fills[effect.fill_id]
        announced = dict(effect.headers).get("content-length")
        body_bytes = int(announced) if announced is not None else None
        answer = Answer(
            status=effect.status,
            headers=effect.headers,
            body_bytes=body_bytes if effect.send_body else 0,
            text=fill.announced_text if effect.byte_range is None else None,
        )
        self._start_answer(exchange, answer)
        if effect.send_body:
            fill.add(Waiter(exchange, effect.byte_range))

    def _serve_text(self, effect: events.ServeText) -> None:
        exchange = self._waiting(effect.request_id)
        if exchange is None:
            return
        text = effect.text if exchange.request.method != "HEAD" else b""
        self._start_answer(
            exchange,
            Answer(status=effect.status, headers=effect.headers, body_bytes=len(text), text=text),
        )
        exchange.offer(len(text))

    def _pass_through(self, effect: events.PassThrough) -> None:
        exchange = self._waiting(effect.request_id)
        if exchange is None:
            return
        request = Request(
            method=effect.method, target=target_of(effect.url), headers=effect.headers
        )
        passing = Passing(self, effect.request_id, exchange, effect.cache_status)
        self._passing[effect.request_id] = self._upstream.send(request, passing)

    def passing_failed(self, request_id: int, exchange: Exchange) -> None:
        """Upstream broke off an answer that was passed through."""
        self._passing.pop(request_id, None)
        if exchange.is_over:
            return
        if exchange.answer is None:
            text = b"upstream failed\n"
            self._start_answer(exchange, Answer(status=502, body_bytes=len(text), text=text))
            exchange.offer(len(text))
            return
        self._break_off(request_id, exchange)

    def _abort_response(self, effect: events.AbortResponse) -> None:
        exchange = self._exchanges.get(effect.request_id)
        if exchange is not None:
            self._break_off(effect.request_id, exchange)

    def _break_off(self, request_id: int, exchange: Exchange) -> None:
        """Close the client's connection in the middle of its answer."""
        sent_bytes = exchange.sent_bytes
        del self._request_ids[exchange]
        self._forget(request_id)
        exchange.abort()
        self.feed(events.ClientLeft(request_id=request_id, sent_bytes=sent_bytes))

    # Effects: fills and objects.

    def _start_fill(self, effect: events.StartFill) -> None:
        client = self._prefetcher if effect.priority == "prefetch" else self._upstream
        self.fills[effect.fill_id] = Fill(self, effect, client)

    def fill_failed(self, fill: Fill, cause: events.FailureCause, detail: str) -> None:
        del self.fills[fill.fill_id]
        self.feed(events.FillFailed(fill_id=fill.fill_id, cause=cause, detail=detail))

    def _with_fill(self, fill_id: int, act: Callable[[Fill], None]) -> None:
        fill = self.fills.get(fill_id)
        if fill is not None:
            act(fill)

    def _stream_only(self, effect: events.StreamOnly) -> None:
        fill = self.fills.get(effect.fill_id)
        if fill is not None:
            fill.is_stream_only = True

    def _cancel_fill(self, effect: events.CancelFill) -> None:
        fill = self.fills.pop(effect.fill_id, None)
        if fill is not None:
            fill.cancel()

    def _commit(self, effect: events.Commit) -> None:
        fill = self.fills.pop(effect.fill_id)
        self.disk.put(Held(effect.stored, fill.text, effect.in_memory))
        if self.disk.is_full:
            self.feed(events.ObjectLost(object_id=effect.stored.object_id, detail="disk full"))

    def _update_stored(self, effect: events.UpdateStored) -> None:
        held = self.disk.get(effect.stored.object_id)
        if held is not None:
            held.stored = effect.stored

    def _set_in_memory(self, effect: events.SetInMemory) -> None:
        held = self.disk.get(effect.object_id)
        if held is None:
            return
        if effect.in_memory and self._is_lost(effect.object_id):
            return
        held.in_memory = effect.in_memory

    def _read_object(self, effect: events.ReadObject) -> None:
        def read() -> None:
            held = self.disk.get(effect.object_id)
            is_lost = held is not None and self._is_lost(effect.object_id)
            text = held.text if held is not None and not is_lost else None
            self.feed(events.ObjectRead(object_id=effect.object_id, text=text))

        self._after(self._costs.disk_read_s, read)

    # Effects: knowledge.

    def _predict(self, effect: events.Predict) -> None:
        predictor = self._predictor
        if predictor is None or self._is_model_broken:
            self.feed(
                events.PredictionFailed(prediction_id=effect.prediction_id, detail="no model")
            )
            return

        def answer() -> None:
            self.feed(
                events.Predicted(
                    prediction_id=effect.prediction_id,
                    probabilities=predictor.probabilities(effect.rows),
                )
            )

        self._after(self._costs.predict_s, answer)
