"""An origin and three enrolled edges, as processes at 127.0.0.x, for stock players to play from."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from origin.packaging.synthesis import write_clip
from tests.e2e.conftest import EdgeProcess

TITLE, TITLE_S, SEGMENT_S = "film", 60.0, 2.0
NAMES: Final = ("ams-1", "ams-2", "ams-3")
READY_S: Final = 30.0


class StockFleet:
    """An origin at 127.0.0.10 and edges from 127.0.0.11 on, all at one port, or at two."""

    def __init__(self, folder: Path, titles: Path, port: int, edge_port: int) -> None:
        self.folder = folder
        self.library = folder / "library"
        self._edge_port = edge_port
        shutil.copytree(titles, self.library)
        self.url = _site("127.0.0.10", port)
        settings = ["control.fleet_listen=127.0.0.1:0", "control.admin_listen=127.0.0.1:0"]
        settings += [f"control.steering_url={self.url}"]
        self.origin = subprocess.Popen(
            [
                *(sys.executable, "-m", "nearcast", "origin", "serve"),
                *("--library", str(self.library), "--listen", f"127.0.0.10:{port}"),
                *(part for each in settings for part in ("--set", each)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.origin.stdout is not None
        said: list[str] = []
        while "edges report to" not in (line := self.origin.stdout.readline()):
            said.append(line)
            assert line, "".join(said)
        self.edges: dict[str, EdgeProcess] = {}
        try:
            for number, name in enumerate(NAMES):
                self.edges[name] = self._join(name, number)
        except BaseException:
            self.close()
            raise
        self.hosts = {urlsplit(edge.url).netloc: name for name, edge in self.edges.items()}
        self.hosts[urlsplit(self.url).netloc] = "origin"

    def _join(self, name: str, number: int) -> EdgeProcess:
        told, host = self.folder / f"{name}.json", f"127.0.0.{11 + number}"
        library = ("--library", str(self.library), "--json", str(told))
        nearcast("origin", "fleet", "enrol", name, *library)
        token = json.loads(told.read_bytes())["token"]
        store = ("--store", str(self.folder / name))
        where = ("--url", _site(host, self._edge_port), "--capacity", "100MB")
        nearcast("edge", "enrol", token, *store, *where)
        return self._start(name, host)

    def start_again(self, name: str) -> None:
        """An edge that was killed, with what it has on its disk."""
        self.edges[name].process.wait(READY_S)
        self.edges[name] = self._start(name, f"127.0.0.{11 + NAMES.index(name)}")

    def _start(self, name: str, host: str) -> EdgeProcess:
        store = ("--store", str(self.folder / name))
        listen = ("--listen", f"{host}:{self._edge_port}", "--set", "prefetch.enabled=false")
        edge = EdgeProcess(["--upstream", self.url, *listen, *store], self.folder)
        edge.url = _site(host, self._edge_port)
        return edge

    def order(self) -> list[str]:
        with urllib.request.urlopen(f"{self.url}/v1/steering/{TITLE}", timeout=10) as answer:
            order = json.loads(answer.read())["PATHWAY-PRIORITY"]
        assert isinstance(order, list)
        return order

    def close(self) -> None:
        for edge in self.edges.values():
            with contextlib.suppress(ProcessLookupError):
                edge.process.send_signal(signal.SIGCONT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                edge.stop()
        self.origin.send_signal(signal.SIGTERM)
        try:
            self.origin.wait(READY_S)
        finally:
            self.origin.kill()
            if self.origin.stdout is not None:
                self.origin.stdout.close()


def make_titles(folder: Path) -> Path:
    """A library of one title."""
    clip, library = folder / "film.mp4", folder / "titles"
    write_clip(clip, seed=6, duration_s=TITLE_S, width=320, height=180)
    ingest = ["--library", str(library), "--id", TITLE, "--rungs", "90p,180p", "--jobs", "1"]
    nearcast("origin", "ingest", str(clip), *ingest, "--segment-duration", str(SEGMENT_S))
    return library


def nearcast(*arguments: str) -> None:
    """A command of its own process: Playwright keeps an event loop running in this one."""
    command = [sys.executable, "-m", "nearcast", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=120)


def _site(host: str, port: int) -> str:
    return f"http://{host}" if port == 80 else f"http://{host}:{port}"
