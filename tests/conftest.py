"""What tests of several packages share: small source clips, and a library made of two of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.servers import (  # noqa: F401 - fixtures, found here by their names
    nats_server,
    nats_url,
    postgres_server,
    postgres_url,
    s3_server,
    s3_url,
)

ClipMaker = Callable[..., Path]

# A busy machine must not fail a property: what they promise is results, not times.
settings.register_profile(
    "nearcast", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("nearcast")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Names a test by the length of its bytes where they are long.

    Processes that share the tests collect them one by one and must get the same names; what an
    encoder wrote (gzip puts the second into its head) differs between two of them.
    """
    if isinstance(val, bytes) and len(val) > 64:
        return f"{argname}-{len(val)}-bytes"
    return None


@pytest.fixture(scope="session")
def make_clip(tmp_path_factory: pytest.TempPathFactory) -> ClipMaker:
    """Writes a clip on first use: `make_clip(seed=1, duration_s=2.0)`.

    Also `width`, `height`, `frame_rate`, `audio` as in `origin.packaging.synthesis.write_clip`;
    small where not given. The same arguments give the same file.
    """
    pytest.importorskip("av", reason="PyAV is not installed")
    from origin.packaging.synthesis import write_clip

    folder = tmp_path_factory.mktemp("clips")
    made: dict[tuple[object, ...], Path] = {}

    def make(
        *,
        seed: int = 1,
        duration_s: float = 3.0,
        width: int = 160,
        height: int = 90,
        frame_rate: float = 12.5,
        audio: bool = True,
    ) -> Path:
        key = (seed, duration_s, width, height, frame_rate, audio)
        if key not in made:
            path = folder / f"clip{len(made)}.mp4"
            write_clip(
                path,
                seed=seed,
                duration_s=duration_s,
                width=width,
                height=height,
                frame_rate=frame_rate,
                audio=audio,
            )
            made[key] = path
        return made[key]

    return make


@pytest.fixture(scope="session")
def title_library(make_clip: ClipMaker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of two episodes of the series "Harbour", `harbour-s01e01` and `harbour-s01e02`:
    two rungs (36p, 72p) and sound, 3 s each. Do not change it."""
    from nearcast.main import main

    folder = tmp_path_factory.mktemp("library")
    clips = [str(make_clip(seed=1)), str(make_clip(seed=2))]
    options = ["--library", str(folder), "--series", "Harbour", "--rungs", "36p,72p", "--jobs", "2"]
    assert main(["origin", "ingest", *clips, *options, "--segment-duration", "1"]) == 0
    return folder
