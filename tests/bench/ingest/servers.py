"""The three servers, each pinned to one core: nginx, the peer, and our ingest endpoint."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.bench.ingest.tools import find
from tests.fixtures.ports import free_port, wait_for_port

_NGINX = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  scgi_temp_path {folder}; uwsgi_temp_path {folder};
  server {{
    listen 127.0.0.1:{port};
    location / {{ default_type application/json; return 202 '{{"results":[]}}'; }}
  }}
}}
"""

_START_SECONDS = 60


class Server:
    """A running server."""

    def __init__(self, port: int, pid: int) -> None:
        self.port = port
        self.pid = pid

    def cpu_seconds(self) -> float:
        """Processor time of the server and its children since their start."""
        process = psutil.Process(self.pid)
        times = [it.cpu_times() for it in (process, *process.children(recursive=True))]
        return sum(it.user + it.system for it in times)

    def resident_bytes(self) -> int:
        return int(psutil.Process(self.pid).memory_info().rss)


@contextmanager
def nginx(core: int, folder: Path) -> Iterator[Server]:
    """nginx with a static 202 response."""
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, port=port))
    with _running([str(find("nginx")), "-c", str(config)], port, core) as server:
        yield server


@contextmanager
def endpoint(core: int) -> Iterator[Server]:
    """Our ingest endpoint."""
    port = free_port()
    command = [sys.executable, "-m", "subgraphs.analytics.ingest", "--port", str(port)]
    with _running(command, port, core) as server:
        yield server


@contextmanager
def peer(core: int) -> Iterator[Server]:
    """The peer (peer.py) under uvicorn."""
    port = free_port()
    app = "tests.bench.ingest.peer:app"
    command = [sys.executable, "-m", "uvicorn", app, "--port", str(port), "--no-access-log"]
    command += ["--loop", "uvloop", "--http", "httptools", "--log-level", "warning"]
    with _running(command, port, core) as server:
        yield server


@contextmanager
def _running(command: list[str], port: int, core: int) -> Iterator[Server]:
    process = subprocess.Popen(
        command, preexec_fn=lambda: os.sched_setaffinity(0, {core}), stderr=subprocess.DEVNULL
    )
    try:
        wait_for_port(port, seconds=_START_SECONDS)
        yield Server(port, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
