"""What only another process shows."""

from __future__ import annotations

import os
import subprocess
import sys

from nearcast.seeds import Seeds


def test_a_reader_that_has_left_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "nearcast"], stdout=writing, stderr=subprocess.PIPE, timeout=60
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_streams_are_the_same_in_another_process() -> None:
    code = "from nearcast.seeds import Seeds; print(Seeds(7).stream('edge/a').integers(2**60))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(other.stdout) == Seeds(7).stream("edge/a").integers(2**60)
