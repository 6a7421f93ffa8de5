"""Where the demo's pictures come from: drawn by seed, or cut out of the user's own video files."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import msgspec

from nearcast.errors import InputError
from simulation.demo.plan import FRAME_RATE, PICTURE, DemoTitle

# Less than this of a file's end is no episode: sessions would be over before half of them matters.
PIECE_S_MIN = 12.0
# Pictures and sound of one moment lie within this of each other in a file.
LATE_S = 2.0


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of a file that plays one title."""

    file: Path
    start_s: float
    duration_s: float


def cut_list(files: Sequence[Path], titles: Sequence[DemoTitle]) -> tuple[Piece, ...]:
    """One piece per title, in turn from each file; files too short for all are used again.

    Raises InputError for a file that is no video or shorter than a piece can be.
    """
    from origin.packaging.decode import probe

    lengths_s: dict[Path, float] = {}
    for file in files:
        source = probe(file)
        if source.duration_s is None or source.duration_s < PIECE_S_MIN:
            raise InputError(f"{file} is too short for an episode: it needs {PIECE_S_MIN:.0f} s")
        lengths_s[file] = source.duration_s
    offsets_s = dict.fromkeys(files, 0.0)
    pieces = []
    for number, title in enumerate(titles):
        file = files[number % len(files)]
        if lengths_s[file] - offsets_s[file] < PIECE_S_MIN:
            offsets_s[file] = 0.0
        duration_s = min(title.duration_s, lengths_s[file] - offsets_s[file])
        pieces.append(Piece(file=file, start_s=offsets_s[file], duration_s=duration_s))
        offsets_s[file] += duration_s
    return tuple(pieces)


def draw(title: DemoTitle, out: Path) -> None:
    """Write a clip of the title's seed and length."""
    from origin.packaging.synthesis import write_clip

    width, height = PICTURE
    write_clip(
        out,
        seed=title.seed,
        duration_s=title.duration_s,
        width=width,
        height=height,
        frame_rate=FRAME_RATE,
    )


def cut(piece: Piece, out: Path) -> None:
    """Write the piece as a file of its own, at a rate that leaves its pictures as they are."""
    import av
    from av.video.frame import VideoFrame

    from origin.packaging.decode import (
        AUDIO_TIME_BASE,
        VIDEO_TIME_BASE,
        probe,
        read_frames,
    )

    source = probe(piece.file)
    end_s = piece.start_s + piece.duration_s
    with av.open(str(out), "w", format="mp4") as container:
        video = container.add_stream(
            "libx264",
            rate=Fraction(source.frame_rate).limit_denominator(1001),
            options={"crf": "16", "preset": "ultrafast"},
        )
        video.width, video.height = source.width // 2 * 2, source.height // 2 * 2
        video.pix_fmt = "yuv420p"
        video.codec_context.time_base = VIDEO_TIME_BASE
        audio = None
        if source.audio_channels:
            layout = "mono" if source.audio_channels == 1 else "stereo"
            audio = container.add_stream("aac", rate=AUDIO_TIME_BASE.denominator, layout=layout)
        for frame in read_frames(piece.file, source):
            time_base = VIDEO_TIME_BASE if isinstance(frame, VideoFrame) else AUDIO_TIME_BASE
            assert frame.pts is not None, "read_frames stamps every frame"
            at_s = float(frame.pts * time_base)
            if at_s >= end_s + LATE_S:
                break  # what follows belongs to another piece
            if not piece.start_s <= at_s < end_s:
                continue
            frame.pts -= round(piece.start_s / time_base)
            frame.time_base = time_base
            if isinstance(frame, VideoFrame):
                container.mux(video.encode(frame))
            elif audio is not None:
                container.mux(audio.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            container.mux(audio.encode(None))
