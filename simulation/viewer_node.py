"""A viewer in the simulator: the real `ViewerCore` behind a simulated last mile."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from abr import events
from abr.config import CmcdMode
from abr.viewer import ViewerCore
from nearcast.cmcd import to_headers, to_query
from nearcast.errors import LocalProtocolError
from nearcast.record import Recorder
from simulation.records import Received
from simulation.scheduler import Scheduler, SimulatedPump
from simulation.transport import Answer, Call, Client, Headers, Request

FAILURE_STATUS_MIN = 400
# A player hears of progress this often at most. Its meter measures first and last byte, which it
# hears of at once; between them only the decision to abandon looks on, and half of all work in a
# simulation was telling players of every quantum.
PROGRESS_S_MIN = 0.05


class ViewerNode:
    """Watches its plan; done when its core says that the last title is over."""

    def __init__(
        self,
        name: str,
        core: ViewerCore,
        client: Client,
        scheduler: Scheduler,
        recorder: Recorder,
        *,
        title_count: int,
        cmcd: CmcdMode,
        request_s: float,
        on_done: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.core = core
        self.client = client
        self.ended_count = 0
        self.title_count = title_count
        self.cmcd = cmcd
        self.scheduler = scheduler
        self._recorder = recorder
        self._request_s = request_s
        self._on_done = on_done
        self._transfers: dict[int, Transfer] = {}
        self._pump: SimulatedPump[events.Event, events.Effect] = SimulatedPump(
            core, self._perform, scheduler
        )
        self.feed: Callable[[events.Event], None] = self._pump.feed

    @property
    def is_done(self) -> bool:
        return self.core.is_done

    def start(self) -> None:
        self.feed(events.Start())

    def leave(self) -> None:
        self.feed(events.Leave())

    def _perform(self, effect: events.Effect) -> None:
        match effect:
            case events.SendRequest():
                transfer = Transfer(self, effect)
                self._transfers[effect.request_id] = transfer
                self.scheduler.after(self._request_s, transfer.send)
            case events.CancelRequest():
                transfer = self._transfers.pop(effect.request_id)
                transfer.cancel()
            case events.SessionEnded():
                self.ended_count += 1
                if self.core.is_done:
                    self._on_done()
            case _:
                raise LocalProtocolError(f"nobody performs {type(effect).__name__}")

    def finished(self, transfer: Transfer, status: int, size_bytes: int) -> None:
        """A transfer has all it wanted."""
        self._transfers.pop(transfer.request_id, None)
        self._recorder.record(
            Received(
                at_s=self.scheduler.now_s(),
                node=self.name,
                target=transfer.target,
                status=status,
                size_bytes=size_bytes,
            )
        )


class Transfer:
    """One request of a player, until it is answered, failed or cancelled."""

    def __init__(self, node: ViewerNode, effect: events.SendRequest) -> None:
        self.request_id = effect.request_id
        self.target = urlsplit(effect.url).path or "/"
        self._node = node
        self._effect = effect
        self._call: Call | None = None
        self._status = 0
        self._is_cancelled = False
        self._told_s = float("-inf")

    def send(self) -> None:
        if self._is_cancelled:
            return
        effect = self._effect
        place = urlsplit(effect.url)
        headers: Headers = (("host", place.netloc), ("accept", "*/*"))
        if effect.byte_range is not None:
            headers = (*headers, ("range", effect.byte_range.header()))
        arguments = [place.query] if place.query else []
        if self._node.cmcd == "query":
            arguments.append(f"CMCD={to_query(effect.cmcd)}")
        elif self._node.cmcd == "headers":
            fields = to_headers(effect.cmcd).items()
            headers = (*headers, *((name.lower(), value) for name, value in fields))
        target = "?".join([self.target, "&".join(arguments)]) if arguments else self.target
        self._call = self._node.client.send(
            Request(method="GET", target=target, headers=headers), self
        )

    def cancel(self) -> None:
        self._is_cancelled = True
        if self._call is not None:
            self._node.client.cancel(self._call)

    def started(self, answer: Answer) -> None:
        self._status = answer.status
        if self._has_failed:
            return
        headers = dict(answer.headers)
        self._node.feed(
            events.ResponseStarted(
                request_id=self.request_id,
                status=answer.status,
                url=self._effect.url,
                content_type=headers.get("content-type"),
                cache_status=headers.get("cache-status"),
                size_bytes=answer.body_bytes,
            )
        )

    def arrived(self, received_bytes: int) -> None:
        now_s = self._node.scheduler.now_s()
        if not self._has_failed and now_s >= self._told_s + PROGRESS_S_MIN:
            self._told_s = now_s
            self._node.feed(
                events.BytesArrived(request_id=self.request_id, received_bytes=received_bytes)
            )

    def ended(self, size_bytes: int, text: bytes | None) -> None:
        self._node.finished(self, self._status, size_bytes)
        if self._has_failed:
            self._fail(f"status {self._status}", self._status)
            return
        self._node.feed(
            events.ResponseEnded(
                request_id=self.request_id,
                size_bytes=size_bytes,
                text=text if self._effect.want_text else None,
            )
        )

    def failed(self, detail: str) -> None:
        self._node.finished(self, 0, 0)
        self._fail(detail, None)

    @property
    def _has_failed(self) -> bool:
        return self._status >= FAILURE_STATUS_MIN

    def _fail(self, detail: str, status: int | None) -> None:
        self._node.feed(
            events.ResponseFailed(request_id=self.request_id, detail=detail, status=status)
        )
