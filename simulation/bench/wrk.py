"""wrk in the place of our generator, for a second opinion on hits.

It copies bodies instead of dropping them and runs for whole seconds only; what it asks for and how
CPU is counted are the same.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import msgspec

from nearcast.errors import NearcastError
from simulation.bench.load import Ask, Job, Load
from simulation.bench.processes import LOAD_CORE, process

_SCRIPT = """\
local asks = {
%s
}
local turn, number = 0, %d
request = function()
  turn, number = turn %% #asks + 1, number + 1
  local ask = asks[turn]
  if ask[2] then return ask[1] .. number .. ask[2] end
  return ask[1]
end
done = function(summary, latency, requests)
  local errors = summary.errors
  print(string.format(
    '{"requests": %%d, "duration_us": %%d, "errors": %%d, "p50_us": %%d, "p99_us": %%d}',
    summary.requests, summary.duration,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""
NUMBERS_APART = 10_000_000
"""Between runs: more than one run can ask."""


class _Seen(msgspec.Struct, frozen=True):
    requests: int
    duration_us: int
    errors: int
    p50_us: int
    p99_us: int


class Wrk:
    """Closed loops by wrk; the verbs of `simulation.bench.load.Generator`."""

    def __init__(self) -> None:
        program = shutil.which("wrk")
        if program is None:
            raise NearcastError("wrk is not installed (apt-get install wrk)")
        self._program = program
        self._job: Job | None = None
        self._number = 0

    def connect(self, job: Job) -> None:
        """wrk connects when it begins: that is part of what it measures."""
        self._job = job

    def begin(self) -> None:
        """`result` does it all: wrk cannot be told to wait."""

    def result(self) -> Load:
        assert self._job is not None
        return self.run(self._job)

    def run(self, job: Job) -> Load:
        """Raises NearcastError when a request failed."""
        assert job.rate_per_s is None, "wrk has no steady rate"
        self._number += NUMBERS_APART
        duration_s = max(1, round(job.duration_s))
        with tempfile.TemporaryDirectory(prefix="nearcast-wrk-") as folder:
            file = Path(folder) / "asks.lua"
            file.write_text(script(job, self._number))
            arguments = [self._program, "-t1", f"-c{job.connection_count}", f"-d{duration_s}s"]
            scheme = "https" if job.is_tls else "http"
            arguments += ["-s", str(file), f"{scheme}://127.0.0.1:{job.port}/"]
            with process("wrk", arguments, core=LOAD_CORE) as child:
                text, _ = child.popen.communicate()
        line = next((one for one in text.splitlines() if one.startswith("{")), None)
        if line is None:
            raise NearcastError(f"wrk did not measure: {text.strip()[-200:]}")
        seen = msgspec.json.decode(line, type=_Seen)
        if seen.errors or not seen.requests:
            raise NearcastError(f"wrk saw {seen.errors} errors in {seen.requests} answers")
        latency_s = (*(seen.p50_us / 1e6,) * 98, *(seen.p99_us / 1e6,) * 2)
        return Load(
            request_count=seen.requests,
            body_bytes=0,  # it does not tell bodies from heads
            duration_s=seen.duration_us / 1e6,
            ttfb_s=latency_s,
            latency_s=latency_s,
        )


def script(job: Job, first_number: int) -> str:
    """What wrk runs: the job's requests in turn."""
    return _SCRIPT % (",\n".join(_lua(ask, job.port) for ask in job.asks), first_number)


def _lua(ask: Ask, port: int) -> str:
    head = f"GET {ask.target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{ask.headers}\r\n"
    before, mark, after = head.partition("%d")
    # A JSON string of printable ASCII and line ends is a Lua string as well.
    parts = [json.dumps(before), *([json.dumps(after)] if mark else [])]
    return "  {" + ", ".join(parts) + "}"
