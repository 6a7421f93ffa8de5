"""`nearcast doctor`: what this installation can do, and what to install for the rest."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import msgspec
import typer

from nearcast.errors import ModelError
from nearcast.json_file import JsonFile, write_json

State = Literal["ok", "missing", "broken"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing looked at. `advice` says what to do when it is not `ok`."""

    name: str
    state: State
    detail: str
    advice: str = ""


def _package(
    name: str, module: str, extra: str, purpose: str, *, distribution: str | None = None
) -> Finding:
    """`distribution`: what brings the module, where that has another name."""
    try:
        importlib.import_module(module)
    except ImportError as error:
        found = importlib.util.find_spec(module) is not None
        return Finding(
            name=name,
            state="broken" if found else "missing",
            detail=f"{purpose}: {error}",
            advice=f"pip install 'nearcast[{extra}]'",
        )
    return Finding(
        name=name,
        state="ok",
        detail=f"{purpose}: {module} {importlib.metadata.version(distribution or module)}",
    )


def _python() -> Finding:
    version = platform.python_version()
    return Finding(
        name="python",
        state="ok" if sys.version_info >= (3, 11) else "broken",
        detail=f"{version} on {platform.system()} {platform.machine()}",
        advice="Nearcast needs Python 3.11 or newer",
    )


def _loop() -> Finding:
    try:
        version = importlib.metadata.version("uvloop")
    except importlib.metadata.PackageNotFoundError:
        return Finding(
            name="event loop",
            state="missing",
            detail="uvloop is not here; asyncio's own loop works, at more CPU per request",
            advice="pip install uvloop",
        )
    return Finding(name="event loop", state="ok", detail=f"uvloop {version}")


def _runtime() -> Finding:
    packages = ("onnxruntime", "onnxruntime-gpu")
    present = [name for name in packages if _is_installed(name)]
    if len(present) > 1:
        return Finding(
            name="inference",
            state="broken",
            detail="onnxruntime and onnxruntime-gpu are both installed and break each other",
            advice="pip uninstall both, then install exactly one of nearcast[cpu], nearcast[gpu]",
        )
    distribution = present[0] if present else packages[0]
    return _package(
        "inference",
        "onnxruntime",
        "gpu" if distribution == "onnxruntime-gpu" else "cpu",
        "next-episode model on edges",
        distribution=distribution,
    )


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _model() -> Finding:
    from predictor.runtime import NextEpisodeModel, default_model_folder

    folder = default_model_folder()
    try:
        model = NextEpisodeModel.load(folder)
    except ModelError as error:
        return Finding(
            name="model",
            state="broken",
            detail=str(error),
            advice="edges serve on with the rule 'half watched'; reinstall to mend the file",
        )
    return Finding(
        name="model", state="ok", detail=f"{model.manifest.model_id} answers its golden rows"
    )


def _open_files() -> Finding:
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = limit >= 4096
    return Finding(
        name="open files",
        state="ok" if enough else "missing",
        detail=f"limit {limit}",
        advice="an edge with many viewers wants more: ulimit -n 65536",
    )


def _space() -> Finding:
    folder = Path.home() if Path.home().is_dir() else Path.cwd()
    free_gb = shutil.disk_usage(folder).free / 1e9
    return Finding(
        name="disk",
        state="ok" if free_gb > 1 else "missing",
        detail=f"{free_gb:.1f} GB free at {folder}; {os.cpu_count()} cores",
        advice="the demo needs about 100 MB, an edge what --capacity says",
    )


CHECKS: tuple[Callable[[], Finding], ...] = (
    _python,
    _loop,
    _runtime,
    _model,
    lambda: _package("ingest", "av", "media", "video decoding and encoding"),
    lambda: _package("catalogue", "sqlalchemy", "origin", "the origin's database"),
    lambda: _package("TLS", "aiofastnet", "tls", "TLS towards clients for less CPU"),
    lambda: _package("training", "onnx", "train", "nearcast train"),
    lambda: _package("replay", "numba", "sim", "fast replays and sessions"),
    _open_files,
    _space,
)


def findings() -> Iterator[Finding]:
    for check in CHECKS:
        yield check()


def doctor(
    json_file: JsonFile = None,
) -> None:
    """Check what this installation can do. Exit status 1 if something is broken.

    Example: nearcast doctor --json doctor.json
    """
    found = list(findings())
    for finding in found:
        print(f"{finding.state:<8}{finding.name:<12}{finding.detail}")
        if finding.state != "ok" and finding.advice:
            print(f"{'':<20}-> {finding.advice}")
    write_json(json_file, {"findings": found})
    if any(finding.state == "broken" for finding in found):
        raise typer.Exit(1)
