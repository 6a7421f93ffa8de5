"""What a simulated edge is to its clients: hits from `find_hit` alone, the rest as the core says.

One object serves for one life of the process. When that is killed, what is still on its way to or
from the clients is forgotten with it, and their connections are reset.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from edge import effects, events
from edge.core import EdgeCore
from edge.pacing import HITS_MAX
from nearcast.errors import LocalProtocolError
from nearcast.record import Recorder
from simulation.edge_disk import EdgeDisk
from simulation.edge_transfers import Fill, Passing, Waiter, target_of
from simulation.records import Answered
from simulation.scenario import Costs
from simulation.scheduler import Scheduler, Timer
from simulation.transport import Answer, Call, Client, Exchange, Request


class Process(Protocol):
    """The process this serves for."""

    name: str
    core: EdgeCore
    disk: EdgeDisk
    fills: dict[int, Fill]
    scheduler: Scheduler
    upstream: Client
    feed: Callable[[events.Event], None]

    def is_lost(self, object_id: str) -> bool:
        """Whether this object's body cannot be read; the core hears of it."""


class DataPort:
    """Requests under way, and the answers to them."""

    def __init__(self, process: Process, costs: Costs, recorder: Recorder) -> None:
        self._process = process
        self._name = process.name
        self._feed = process.feed
        self._scheduler = process.scheduler
        self._costs = costs
        self._recorder = recorder
        self._is_over = False
        self._request_count = 0
        self._exchanges: dict[int, Exchange] = {}
        self._asked_s: dict[int, float] = {}
        self._request_ids: dict[Exchange, int] = {}
        self._begun: set[int] = set()  # of the open ones, those that have their answer
        self._hits: dict[Exchange, events.Hit] = {}
        self._passing: dict[int, Call] = {}
        self._ring: list[events.Hit] = []
        self._flush_timer: Timer | None = None

    @property
    def unanswered_count(self) -> int:
        """Requests the core was asked about and has not answered yet."""
        return len(self._exchanges.keys() - self._begun)

    def waited_s_max(self) -> float:
        """How long the oldest of these has waited."""
        waiting = [at_s for no, at_s in self._asked_s.items() if no not in self._begun]
        return self._scheduler.now_s() - min(waiting) if waiting else 0.0

    def end(self) -> None:
        """The process is killed."""
        self._is_over = True
        if self._flush_timer is not None:
            self._flush_timer.cancel()
        for call in self._passing.values():
            self._process.upstream.cancel(call)
        for exchange in (*self._hits, *self._request_ids):
            exchange.abort()

    # As a server.

    def requested(self, exchange: Exchange) -> None:
        self._after(self._costs.hit_s, lambda: self._look_up(exchange))

    def answered(self, exchange: Exchange, *, is_whole: bool) -> None:
        """All was sent, or the client left before."""
        if not self._is_over:
            self._answered(exchange, is_whole=is_whole)

    def _after(self, delay_s: float, call: Callable[[], None]) -> Timer:
        """As the scheduler's, unless the process is killed before."""
        return self._scheduler.after(delay_s, lambda: None if self._is_over else call())

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
        hit = self._process.core.find_hit(request, self._scheduler.now_s())
        if hit is None or self._process.is_lost(hit.object_id):
            self._after(self._costs.miss_s, lambda: self._ask_core(request, exchange))
            return
        self._hits[exchange] = events.Hit(
            at_s=self._scheduler.now_s(),
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
        self._asked_s[request.request_id] = self._scheduler.now_s()
        self._request_ids[exchange] = request.request_id
        self._feed(request)

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
            self._process.upstream.cancel(call)
        self._feed(kind(request_id=request_id, sent_bytes=exchange.sent_bytes))

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
            self._feed(events.HitsServed(hits=hits))

    def _start_answer(self, exchange: Exchange, answer: Answer) -> None:
        self._recorder.record(
            Answered(
                at_s=self._scheduler.now_s(),
                node=self._name,
                client=exchange.client_name,
                target=exchange.request.target,
                status=answer.status,
                size_bytes=answer.body_bytes,
            )
        )
        exchange.start(answer)

    # Effects: answers.

    def _waiting(self, request_id: int) -> Exchange | None:
        """Whom this answers; None when they have left meanwhile."""
        if request_id in self._begun:
            raise LocalProtocolError(f"{self._name}: request {request_id} is answered twice")
        self._begun.add(request_id)
        return self._exchanges.get(request_id)

    def serve_object(self, effect: effects.ServeObject) -> None:
        exchange = self._waiting(effect.request_id)
        if exchange is None:
            return
        if self._process.is_lost(effect.object_id):
            self._ask_again(effect.request_id, exchange)
        else:
            self._send_object(exchange, effect)

    def _ask_again(self, request_id: int, exchange: Exchange) -> None:
        """What the core said to serve is not there: it decides once more, as live."""
        del self._request_ids[exchange]
        self._forget(request_id)
        self._feed(events.ClientLeft(request_id=request_id))
        self._look_up(exchange)

    def _send_object(self, exchange: Exchange, effect: effects.ServeObject) -> None:
        held = self._process.disk.get(effect.object_id)
        assert held is not None, f"{effect.object_id} is not there"
        if not self._process.disk.is_readable(held):
            self._process.disk.damaged_served_count += 1
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

    def serve_fill(self, effect: effects.ServeFill) -> None:
        exchange = self._waiting(effect.request_id)
        if exchange is None:
            return
        fill = self._process.fills[effect.fill_id]
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

    def serve_text(self, effect: effects.ServeText) -> None:
        exchange = self._waiting(effect.request_id)
        if exchange is None:
            return
        text = effect.text if exchange.request.method != "HEAD" else b""
        self._start_answer(
            exchange,
            Answer(status=effect.status, headers=effect.headers, body_bytes=len(text), text=text),
        )
        exchange.offer(len(text))

    def pass_through(self, effect: effects.PassThrough) -> None:
        exchange = self._waiting(effect.request_id)
        if exchange is None:
            return
        request = Request(
            method=effect.method, target=target_of(effect.url), headers=effect.headers
        )
        request_id = effect.request_id
        passing = Passing(
            effect,
            exchange,
            self._feed,
            lambda: self._passing_failed(request_id, exchange),
        )
        self._passing[effect.request_id] = self._process.upstream.send(request, passing)

    def _passing_failed(self, request_id: int, exchange: Exchange) -> None:
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

    def abort_response(self, effect: effects.AbortResponse) -> None:
        exchange = self._exchanges.get(effect.request_id)
        if exchange is not None:
            self._break_off(effect.request_id, exchange)

    def _break_off(self, request_id: int, exchange: Exchange) -> None:
        """Close the client's connection in the middle of its answer."""
        sent_bytes = exchange.sent_bytes
        del self._request_ids[exchange]
        self._forget(request_id)
        exchange.abort()
        self._feed(events.ClientLeft(request_id=request_id, sent_bytes=sent_bytes))
