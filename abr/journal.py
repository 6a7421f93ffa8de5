"""Writes one title's records."""

from __future__ import annotations

from typing import Literal

from abr.playback import Playback
from abr.records import PlaybackChanged, RequestGivenUp, SegmentFetched
from abr.transfer import Transfer
from nearcast.record import Recorder


class Journal:
    def __init__(self, recorder: Recorder, session_id: str) -> None:
        self._recorder = recorder
        self._session_id = session_id

    def changed(
        self,
        state: Literal["playing", "stalled", "ended"],
        playback: Playback,
        now_s: float,
        detail: str = "",
    ) -> None:
        """Playback goes on, stops or is over."""
        self._recorder.record(
            PlaybackChanged(
                at_s=now_s,
                session_id=self._session_id,
                state=state,
                position_s=playback.position_s,
                detail=detail,
            )
        )

    def fetched(self, transfer: Transfer, buffer_s: float, now_s: float) -> None:
        """A segment is here; `buffer_s` with it."""
        assert transfer.track is not None
        assert transfer.segment is not None
        self._recorder.record(
            SegmentFetched(
                at_s=now_s,
                session_id=self._session_id,
                track=transfer.track,
                start_s=transfer.segment.start_s,
                rung=transfer.rung,
                size_bytes=transfer.received_bytes,
                duration_s=now_s - transfer.sent_s,
                is_hit=transfer.is_hit,
                buffer_s=buffer_s,
            )
        )

    def gave_up(self, transfer: Transfer, detail: str, now_s: float) -> None:
        """A request failed or was cancelled."""
        self._recorder.record(
            RequestGivenUp(
                at_s=now_s,
                session_id=self._session_id,
                track=transfer.track,
                rung=transfer.rung,
                received_bytes=transfer.received_bytes,
                detail=detail,
            )
        )
