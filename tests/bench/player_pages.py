"""Pages in which stock players play: hls.js, dash.js, Shaka and video.js.

Each starts one player with a URL and samples what its video element does. The packages come from a
folder of the caller, as npm packs them; none is part of this project.
"""

from __future__ import annotations

import functools
import json
import tarfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final, NamedTuple


class Player(NamedTuple):
    """A library and how a page starts it. `short_buffer`: options for 6 s of buffer; video.js calls
    that unsafe and stalls with it, so it keeps its own."""

    name: str
    package: str
    script: str
    format: str
    start: str
    short_buffer: str
    manifest: str


HLS_JS = """
const hls = window.player = new Hls(options);
hls.loadSource(url); hls.attachMedia(video);
hls.on(Hls.Events.ERROR, (_, told) => { if (told.fatal) said(told.type + ' ' + told.details); });
"""
DASH_JS = """
const player = window.player = dashjs.MediaPlayer().create();
player.initialize();
player.updateSettings({debug: {logLevel: 0}, ...options});
player.on('error', told => said(told.error && told.error.message || 'error'));
player.attachView(video); player.setAutoPlay(true); player.attachSource(url);
"""
SHAKA = """
shaka.polyfill.installAll();
const player = window.player = new shaka.Player();
player.configure(options);
player.addEventListener('error', told => said('shaka ' + told.detail.code));
player.attach(video).then(() => player.load(url)).catch(error => said('shaka ' + error.code));
"""
VIDEO_JS = """
Object.assign(videojs.Vhs, options);
const player = window.player = videojs(video, {muted: true, autoplay: true});
player.on('error', () => said('video.js ' + (player.error() || {}).message));
player.src({src: url, type: 'application/x-mpegURL'});
"""
PLAYERS: Final = (
    Player(
        name="hls.js", package="hls.js", script="dist/hls.js", format="HLS", start=HLS_JS,
        short_buffer="{maxBufferLength: 6, maxMaxBufferLength: 6}", manifest="master.m3u8",
    ),
    Player(
        name="Shaka", package="shaka-player", script="dist/shaka-player.compiled.js",
        format="HLS", start=SHAKA, short_buffer="{streaming: {bufferingGoal: 6}}",
        manifest="master.m3u8",
    ),
    Player(
        name="video.js", package="video.js", script="dist/video.js", format="HLS",
        start=VIDEO_JS, short_buffer="{}",
        manifest="master.m3u8",
    ),
    Player(
        name="dash.js", package="dashjs", script="dist/modern/umd/dash.all.min.js",
        format="DASH", start=DASH_JS,
        short_buffer="{streaming: {buffer: {bufferTimeDefault: 6, bufferTimeAtTopQuality: 6,"
        " bufferTimeAtTopQualityLongForm: 6}}}", manifest="manifest.mpd",
    ),
    Player(
        name="Shaka", package="shaka-player", script="dist/shaka-player.compiled.js",
        format="DASH", start=SHAKA, short_buffer="{streaming: {bufferingGoal: 6}}",
        manifest="manifest.mpd",
    ),
)  # fmt: skip

PAGE = """<!doctype html><meta charset="utf-8"><title>player</title>
<video id="video" muted autoplay playsinline width="320" height="180"></video>
<script src="/{package}/{script}"></script>
<script>
const video = document.getElementById('video'), url = {url}, options = {options};
window.told = []; window.samples = [];
const said = text => told.push(text);
setInterval(() => {{
  const seen = document.querySelector('video') || video, at = seen.currentTime;
  let ahead = 0;
  for (let i = 0; i < seen.buffered.length; i++)
    if (seen.buffered.start(i) <= at + 0.1 && seen.buffered.end(i) > at)
      ahead = seen.buffered.end(i) - at;
  samples.push([Date.now() / 1000, at, ahead, seen.ended ? 1 : 0]);
}}, 50);
{start}
video.play().catch(() => {{}});
</script>"""


def find_packages(folder: Path, room: Path) -> dict[str, str]:
    """Versions by package name; packages are laid out (or linked) in `room` by their names."""
    for packed in sorted(folder.glob("*.tgz")):
        with tarfile.open(packed) as archive:
            archive.extractall(room / packed.stem, filter="data")
    versions: dict[str, str] = {}
    found = (*sorted(room.glob("*/package/package.json")), *sorted(folder.glob("*/package.json")))
    for file in found:
        told = json.loads(file.read_bytes())
        name = str(told["name"])
        if name not in versions:
            (room / name).symlink_to(file.parent.resolve())
            versions[name] = str(told["version"])
    return versions


class _Quiet(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass


class PageServer:
    """Serves `room` at `url`, on loopback."""

    def __init__(self, room: Path) -> None:
        self._room = room
        handler = functools.partial(_Quiet, directory=str(room))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def page(self, player: Player, media_url: str, *, is_short: bool) -> str:
        """The URL of a new page that plays `media_url`."""
        name = f"{player.name}-{player.format}.html"
        text = PAGE.format(
            package=player.package,
            script=player.script,
            url=json.dumps(media_url),
            options=player.short_buffer if is_short else "{}",
            start=player.start,
        )
        (self._room / name).write_text(text)
        return f"{self.url}/{name}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
