"""A process that packages one file: order on stdin, progress and result on stdout, as JSON lines.

A process of its own, so that several files use several cores, a file that crashes a decoder takes
nothing else along, and an interrupted ingest can end it at once. When its parent is gone, the next
report fails and it ends.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import msgspec

from nearcast.errors import NearcastError
from origin.packaging.ladder import Rung
from origin.packaging.package import Packaged, PackageOrder, package
from origin.packaging.shaping import Source


class Started(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The source is understood."""

    source: Source
    ladder: tuple[Rung, ...]


class Progressed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    done_s: float


class Finished(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    packaged: Packaged


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """`errno` is set when the disk refused."""

    message: str
    exit_code: int = 2
    errno: int | None = None


Report = Started | Progressed | Finished | Failed


def main() -> int:
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=PackageOrder)
    encoder = msgspec.json.Encoder()

    def report(what: Report) -> None:
        sys.stdout.buffer.write(encoder.encode(what) + b"\n")
        sys.stdout.buffer.flush()

    def on_source(source: Source, ladder: Sequence[Rung]) -> None:
        report(Started(source=source, ladder=tuple(ladder)))

    try:
        packaged = package(
            order,
            on_source=on_source,
            on_progress=lambda done_s: report(Progressed(done_s=done_s)),
        )
        report(Finished(packaged=packaged))
    except NearcastError as error:
        report(Failed(message=str(error), exit_code=error.exit_code))
    except BrokenPipeError:
        return 1
    except OSError as error:
        report(Failed(message=error.strerror or str(error), errno=error.errno))
    return 0


if __name__ == "__main__":
    sys.exit(main())
