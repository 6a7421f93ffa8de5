"""The caches we measure ourselves against, set up as fast as we know how to.

nginx: `tcp_nopush on` costs it 1.9 times the CPU at 512 KB and stalls warm cache hits, so it is
off; open_file_cache is on, nothing is logged, one worker. Varnish keeps objects in RAM (malloc).
A ratio against a badly tuned peer is worth nothing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from simulation.bench.processes import LOAD_CORE, SERVER_CORE, Process, free_port, process

INSTALL = {
    "nginx": "apt-get install nginx-light",
    "varnish": "apt-get install varnish",
}
PEERS = tuple(INSTALL)
_BINARIES = {"nginx": "nginx", "varnish": "varnishd"}

NGINX = """\
daemon off; worker_processes 1; worker_rlimit_nofile 16384; pid {folder}/pid;
error_log {folder}/error.log error; {user}
events {{ worker_connections 8192; multi_accept on; }}
http {{
  access_log off; sendfile on; tcp_nopush off; tcp_nodelay on; server_tokens off;
  keepalive_requests 1000000000; keepalive_timeout 300s;
  open_file_cache max=4000 inactive=300s; open_file_cache_valid 300s;
  default_type application/octet-stream;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
{servers}
}}
"""

STATIC = """\
  server {{
    listen 127.0.0.1:{port} backlog=4096; root {root};
    add_header Cache-Control max-age=86400;
    location ~ ^/new/[0-9]+/ {{ rewrite ^/new/([0-9]+)/ /$1/0 break; }}
  }}
"""

TLS = """\
  server {{
    listen 127.0.0.1:{port} ssl backlog=4096; root {root};
    ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;
  }}
"""

CACHE = """\
  proxy_cache_path {folder}/cache levels=1:2 keys_zone=c:64m max_size={capacity_mb}m inactive=1h
                   use_temp_path=off;
  upstream origin {{ server 127.0.0.1:{origin_port}; keepalive 256; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_cache c; proxy_cache_valid 200 1h; proxy_cache_lock on; proxy_cache_lock_timeout 30s;
    }}
  }}
"""


class Certificate(msgspec.Struct, frozen=True):
    """Where a certificate and its key are."""

    certificate: Path
    key: Path


class Server(msgspec.Struct, frozen=True):
    """One address that answers, and the process that does the work."""

    name: str
    process: Process
    port: int


def binary(peer: str) -> str | None:
    """Where a peer is installed; None when it is not."""
    name = _BINARIES[peer]
    return shutil.which(name) or shutil.which(name, path="/usr/local/sbin:/usr/sbin:/sbin")


@contextlib.contextmanager
def nginx(
    folder: Path,
    root: Path,
    *,
    name: str = "nginx",
    core: int = SERVER_CORE,
    origin_port: int | None = None,
    capacity_mb: int = 2000,
    tls: Certificate | None = None,
) -> Iterator[dict[str, Server]]:
    """Servers by kind: `static`; `cache` in front of `origin_port`; `tls` with a certificate."""
    program = binary("nginx")
    assert program is not None
    folder.mkdir(parents=True)
    ports = {"static": free_port()}
    blocks = [STATIC.format(port=ports["static"], root=root)]
    if origin_port is not None:
        ports["cache"] = free_port()
        blocks.append(
            CACHE.format(
                folder=folder,
                port=ports["cache"],
                origin_port=origin_port,
                capacity_mb=capacity_mb,
            )
        )
    if tls is not None:
        ports["tls"] = free_port()
        blocks.append(
            TLS.format(port=ports["tls"], root=root, certificate=tls.certificate, key=tls.key)
        )
    # A worker of root's drops to another user, who may not write into our folder.
    user = "user root;" if hasattr(os, "geteuid") and os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, user=user, servers="".join(blocks)))
    arguments = [program, "-c", str(config), "-p", str(folder), "-e", str(folder / "error.log")]
    with process(name, arguments, core=core) as child:
        for port in ports.values():
            child.wait_for_port(port)
        suffixes = {"static": "", "cache": "-cache", "tls": ""}
        yield {kind: Server(name + suffixes[kind], child, port) for kind, port in ports.items()}


@contextlib.contextmanager
def varnish(folder: Path, origin_port: int) -> Iterator[Server]:
    """Varnish in front of `origin_port`."""
    program = binary("varnish")
    assert program is not None
    folder.mkdir(parents=True)
    config = folder / "default.vcl"
    config.write_text(
        f'vcl 4.1;\nbackend origin {{ .host = "127.0.0.1"; .port = "{origin_port}"; }}\n'
    )
    port = free_port()
    arguments = [program, "-j", "none", "-F", "-n", str(folder), "-f", str(config)]
    arguments += ["-s", "malloc,1g"]
    arguments += ["-a", f"127.0.0.1:{port}", "-T", "none"]
    with process("varnish", arguments, core=SERVER_CORE) as child:
        child.wait_for_port(port)
        yield Server("varnish", child, port)


@contextlib.contextmanager
def nginx_origin(folder: Path, root: Path) -> Iterator[Server]:
    """An origin on the load core: files of `root`, and any `/new/<size>/<anything>`."""
    with nginx(folder, root, name="origin", core=LOAD_CORE) as servers:
        yield servers["static"]
