"""Real encoding of tiny clips of every kind, read back with libav."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from nearcast.errors import InputError
from origin.catalog import AUDIO_HZ, VIDEO_HZ

av = pytest.importorskip("av", reason="PyAV is not installed")

from av.video.frame import VideoFrame  # noqa: E402 - after the skip

from origin.packaging.boxes import edit_shift, find, fragment_times, timescale  # noqa: E402
from origin.packaging.package import Packaged, PackageOrder, package  # noqa: E402

MS = Fraction(1, 1000)
K90 = Fraction(1, 90_000)
STEADY = [Fraction(index, 12) for index in range(30)]  # 2.5 s
MEDIA = Path(__file__).resolve().parents[3] / "shared" / "media"


def write_source(
    path: Path,
    *,
    times_s: Iterable[Fraction | float] = STEADY,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    width: int = 96,
    height: int = 54,
    time_base: Fraction = K90,
    audio: tuple[str, int, str] | None = None,
    audio_start_s: float = 0.0,
    audio_s: float = 2.5,
    rotation_deg: int = 0,
    pixel_ratio: Fraction | None = None,
) -> Path:
    """A file whose upper left corner is red in the picture as it is coded."""
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=12)
        video.width, video.height, video.pix_fmt = width, height, pix_fmt
        video.time_base = video.codec_context.time_base = time_base
        if pixel_ratio is not None:
            video.codec_context.sample_aspect_ratio = pixel_ratio
        if rotation_deg:
            video.set_display_rotation(rotation_deg)
        sound = None
        if audio is not None:
            sound = container.add_stream(audio[0], rate=audio[1], layout=audio[2])
        for index, time_s in enumerate(times_s):
            picture = np.zeros((height, width, 3), dtype=np.uint8)
            picture[: height // 2, : width // 2, 0] = 255
            picture[:, index % width] = 255
            frame = VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pix_fmt)
            frame.pts = round(Fraction(time_s) / time_base)
            frame.time_base = time_base
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if sound is not None and audio is not None:
            _, rate_hz, layout = audio
            channel_count = len(av.AudioLayout(layout).channels)
            wave = np.sin(np.arange(round(audio_s * rate_hz)) * 2 * np.pi * 440 / rate_hz)
            for at in range(0, len(wave), 1024):
                part = np.tile(wave[at : at + 1024].astype(np.float32) * 0.3, (channel_count, 1))
                heard = av.AudioFrame.from_ndarray(part, format="fltp", layout=layout)
                heard.sample_rate = rate_hz
                heard.pts = round(audio_start_s * rate_hz) + at
                heard.time_base = Fraction(1, rate_hz)
                container.mux(sound.encode(heard))
            container.mux(sound.encode(None))
    return path


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., tuple[Packaged, Path]]:
    def run(source: Path, **changes: object) -> tuple[Packaged, Path]:
        folder = tmp_path / "made"
        folder.mkdir()
        order = PackageOrder(
            source=str(source),
            folder=str(folder),
            segment_duration_s=1.0,
            preset="ultrafast",
            thread_count=1,
            **{"rungs": ("36p", "54p"), **changes},  # type: ignore[arg-type]
        )
        return package(order), folder

    return run


def joined(folder: Path, rendition_id: str, segment_count: int) -> bytes:
    parts = [folder / rendition_id / "init.mp4"]
    parts += [folder / rendition_id / f"{number}.m4s" for number in range(1, segment_count + 1)]
    return b"".join(part.read_bytes() for part in parts)


def check_whole(packaged: Packaged, folder: Path) -> None:
    """What holds for every title: sizes, aligned starts, one key picture, all of it decodes."""
    video = [e for e in packaged.renditions if e.rendition.kind == "video"]
    starts = [[segment.start_s for segment in entry.segments] for entry in video]
    assert all(series == starts[0] for series in starts)
    assert starts[0][0] == 0
    for entry in packaged.renditions:
        rendition_id = entry.rendition.id
        files = sorted(path.name for path in (folder / rendition_id).iterdir())
        assert len(files) == len(entry.segments) + 1
        init = (folder / rendition_id / "init.mp4").read_bytes()
        assert len(init) == entry.init_size_bytes
        hz = VIDEO_HZ if entry.rendition.kind == "video" else AUDIO_HZ
        assert timescale(init) == hz
        end_s = 0.0
        for number, segment in enumerate(entry.segments, start=1):
            data = (folder / rendition_id / f"{number}.m4s").read_bytes()
            assert len(data) == segment.size_bytes
            times = fragment_times(data, edit_shift(init))
            assert times.presentation_start == round(segment.start_s * hz)
            assert segment.start_s == pytest.approx(end_s, abs=1e-9)
            end_s = segment.start_s + segment.duration_s
            assert times.sync_indices[:1] == (0,)
            if entry.rendition.kind == "video":
                assert times.sync_indices == (0,)
        if entry.rendition.kind == "video":
            assert end_s == pytest.approx(packaged.duration_s)
        else:
            assert 0 <= packaged.duration_s - end_s < 0.03
        data = joined(folder, rendition_id, len(entry.segments))
        with av.open(io.BytesIO(data)) as container:
            frames = list(container.decode(container.streams[0]))
        assert frames[0].time == pytest.approx(0, abs=0.001)
        if entry.rendition.kind == "video":
            assert len(frames) == packaged.frame_count
            assert (frames[0].width, frames[0].height) == (
                entry.rendition.width,
                entry.rendition.height,
            )
            assert frames[0].format.name == "yuv420p"


SOURCES: dict[str, tuple[str, dict[str, object]]] = {
    "vp8 in webm": (
        "a.webm",
        {"codec": "libvpx", "time_base": MS, "audio": ("libopus", 48_000, "stereo")},
    ),
    "surround": ("a.mp4", {"audio": ("aac", 44_100, "5.1")}),
    "mono at 22 kHz": ("a.mkv", {"time_base": MS, "audio": ("aac", 22_050, "mono")}),
    "ten bits": ("a.mp4", {"pix_fmt": "yuv420p10le"}),
    "odd size": ("a.mp4", {"width": 97, "height": 55, "pix_fmt": "yuv444p"}),
    "motion jpeg": (
        "a.avi",
        {
            "codec": "mjpeg",
            "pix_fmt": "yuvj420p",
            "time_base": Fraction(1, 12),
            "audio": ("pcm_s16le", 44_100, "stereo"),
        },
    ),
    "mpeg-2 transport stream": (
        "a.ts",
        {
            "codec": "mpeg2video",
            "times_s": [Fraction(index, 25) for index in range(60)],
            "time_base": Fraction(1, 25),
            "audio": ("mp2", 48_000, "stereo"),
        },
    ),
    "starts late": ("a.mkv", {"times_s": [t + 7 for t in STEADY], "time_base": MS}),
    "one picture": ("a.mp4", {"times_s": [0]}),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_any_source_becomes_aligned_segments(
    kind: str, tmp_path: Path, make: Callable[..., tuple[Packaged, Path]]
) -> None:
    name, options = SOURCES[kind]
    source = write_source(tmp_path / name, **options)  # type: ignore[arg-type]

    packaged, folder = make(source)

    check_whole(packaged, folder)
    has_sound = any(entry.rendition.kind == "audio" for entry in packaged.renditions)
    assert has_sound == ("audio" in options)


def test_varying_frame_times_are_kept(
    tmp_path: Path, make: Callable[..., tuple[Packaged, Path]]
) -> None:
    steps = [0.02, 0.1, 0.033, 0.25, 0.04] * 10
    times = [sum(steps[:index]) for index in range(len(steps))]
    source = write_source(tmp_path / "a.mp4", times_s=times, audio=("aac", 48_000, "stereo"))

    packaged, folder = make(source)

    check_whole(packaged, folder)
    entry = packaged.renditions[0]
    with av.open(io.BytesIO(joined(folder, entry.rendition.id, len(entry.segments)))) as made:
        shown = [frame.time for frame in made.decode(video=0)]
    assert shown == pytest.approx(times, abs=2e-5)


@pytest.mark.parametrize(("rotation_deg", "red_is"), [(90, "bottom left"), (-90, "top right")])
def test_a_phone_held_upright_gives_an_upright_picture(
    rotation_deg: int,
    red_is: str,
    tmp_path: Path,
    make: Callable[..., tuple[Packaged, Path]],
) -> None:
    source = write_source(tmp_path / "a.mp4", rotation_deg=rotation_deg)

    packaged, folder = make(source, rungs=("54p",))

    rendition = packaged.renditions[0].rendition
    assert (rendition.width, rendition.height) == (54, 96)
    with av.open(io.BytesIO(joined(folder, "54p", len(packaged.renditions[0].segments)))) as made:
        picture = next(made.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    redness = picture[:, :, 0] - picture[:, :, 1]
    corners = {
        "top left": redness[10:30, 8:18],
        "top right": redness[10:30, -18:-8],
        "bottom left": redness[-30:-10, 8:18],
        "bottom right": redness[-30:-10, -18:-8],
    }
    assert max(corners, key=lambda name: corners[name].mean()) == red_is


def test_wide_pixels_become_a_wide_picture(
    tmp_path: Path, make: Callable[..., tuple[Packaged, Path]]
) -> None:
    source = write_source(
        tmp_path / "a.mp4", width=72, height=54, pixel_ratio=Fraction(4, 3), times_s=STEADY[:6]
    )

    packaged, _ = make(source, rungs=("54p",))

    rendition = packaged.renditions[0].rendition
    assert (rendition.width, rendition.height) == (96, 54)


def test_a_long_still_is_cut_into_segments(
    tmp_path: Path, make: Callable[..., tuple[Packaged, Path]]
) -> None:
    source = write_source(
        tmp_path / "a.mkv", times_s=[0, 0.04, 5, 5.04], time_base=MS, audio=("aac", 48_000, "mono")
    )

    packaged, folder = make(source)

    check_whole(packaged, folder)
    assert [segment.start_s for segment in packaged.renditions[0].segments] == [0, 1, 2, 3, 4, 5]


def test_sound_that_starts_late_and_ends_early_is_filled_with_silence(
    tmp_path: Path, make: Callable[..., tuple[Packaged, Path]]
) -> None:
    source = write_source(
        tmp_path / "a.mp4", audio=("aac", 48_000, "mono"), audio_start_s=1.0, audio_s=0.5
    )

    packaged, folder = make(source)

    check_whole(packaged, folder)
    audio = packaged.renditions[-1]
    with av.open(io.BytesIO(joined(folder, "audio", len(audio.segments)))) as made:
        wave = np.concatenate([frame.to_ndarray()[0] for frame in made.decode(audio=0)])
    loud = np.abs(wave) > 0.05
    first_s, last_s = np.flatnonzero(loud)[[0, -1]] / AUDIO_HZ
    assert first_s == pytest.approx(1.0, abs=0.03)
    assert last_s == pytest.approx(1.5, abs=0.03)


def test_sound_that_outlasts_the_pictures_is_kept(
    tmp_path: Path, make: Callable[..., tuple[Packaged, Path]]
) -> None:
    source = write_source(
        tmp_path / "a.mp4",
        times_s=[Fraction(index, 12) for index in range(6)],
        audio=("aac", 48_000, "stereo"),
        audio_s=4.0,
    )

    packaged, folder = make(source)

    check_whole(packaged, folder)
    assert packaged.duration_s == pytest.approx(4.0, abs=0.1)


def test_cuts_keep_sound_and_pictures_together(
    make_clip: Callable[..., Path], make: Callable[..., tuple[Packaged, Path]]
) -> None:
    packaged, folder = make(make_clip(duration_s=4.0), rungs=("36p", "72p"))

    check_whole(packaged, folder)
    video, audio = packaged.renditions[0], packaged.renditions[-1]
    assert len(video.segments) == len(audio.segments)
    for seen, heard in zip(video.segments, audio.segments, strict=True):
        assert heard.start_s == pytest.approx(seen.start_s, abs=0.011)


def test_rates_are_measured_and_bounded(
    make_clip: Callable[..., Path], make: Callable[..., tuple[Packaged, Path]]
) -> None:
    packaged, _ = make(make_clip(duration_s=4.0), rungs=("36p", "72p"))

    for entry in packaged.renditions:
        rates = [s.size_bytes * 8 / 1000 / s.duration_s for s in entry.segments]
        assert entry.rendition.peak_kbps == pytest.approx(max(rates), abs=0.01)
        assert entry.rendition.average_kbps <= entry.rendition.peak_kbps


def test_the_fragments_have_one_moof_each(
    make_clip: Callable[..., Path], make: Callable[..., tuple[Packaged, Path]]
) -> None:
    packaged, folder = make(make_clip(), rungs=("36p",))

    for entry in packaged.renditions:
        for number in range(1, len(entry.segments) + 1):
            data = (folder / entry.rendition.id / f"{number}.m4s").read_bytes()
            assert find(data, "moof").first == 8
            assert data.count(b"moof") == 1
            assert find(data, "mdat").end == len(data)


def damaged(source: Path, to: Path, first: float, last: float) -> Path:
    data = bytearray(source.read_bytes())
    for at in range(int(len(data) * first), int(len(data) * last)):
        data[at] ^= 0x5A
    to.write_bytes(data)
    return to


def test_what_cannot_be_packaged_is_refused_with_the_reason(
    tmp_path: Path,
    make_clip: Callable[..., Path],
    make: Callable[..., tuple[Packaged, Path]],
) -> None:
    text = tmp_path / "a.txt"
    text.write_text("no video\n" * 100)
    sound = tmp_path / "sound.mp4"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("aac", rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 48_000), dtype=np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    whole = write_source(
        tmp_path / "whole.mkv", times_s=[t * 4 for t in STEADY], time_base=MS
    ).read_bytes()
    short = tmp_path / "short.mkv"
    short.write_bytes(whole[: len(whole) * 2 // 3])
    head = tmp_path / "head.mp4"
    head.write_bytes(make_clip().read_bytes()[:200])
    empty = tmp_path / "empty.mp4"
    empty.touch()

    for path, reason in [
        (text, "not a video"),
        (empty, "not a video"),
        (head, "not a video"),
        (sound, "no video stream"),
        (short, r"ends after \d+\.\d\d s|cut off or damaged after"),
        (tmp_path / "none.mp4", "no such file"),
        (tmp_path, "is a folder"),
    ]:
        with pytest.raises(InputError, match=reason):
            make(path)
        (tmp_path / "made").rename(tmp_path / f"made-{path.stem}")


def test_a_hole_in_the_middle_is_refused_with_its_time(
    tmp_path: Path, make: Callable[..., tuple[Packaged, Path]]
) -> None:
    source = write_source(
        tmp_path / "a.mp4",
        times_s=[Fraction(index, 12) for index in range(60)],
        width=320,
        height=180,
    )
    hole = damaged(source, tmp_path / "hole.mp4", 0.5, 0.75)

    with pytest.raises(InputError, match=r"damaged after \d+\.\d\d s"):
        make(hole)


@pytest.mark.skipif(not MEDIA.is_dir(), reason="the shared footage is not here")
def test_camera_footage_with_an_odd_rate_and_sound(
    make: Callable[..., tuple[Packaged, Path]],
) -> None:
    packaged, folder = make(MEDIA / "car-detection.mp4", rungs=("90p",))

    check_whole(packaged, folder)
    assert packaged.duration_s == pytest.approx(30.16)
    assert packaged.frame_count == 377
