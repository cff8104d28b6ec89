"""Ports on loopback, stored in the state folder so that addresses survive a restart."""

import errno
import random
import socket
from collections.abc import Iterable

import psutil

from deploy.local.problems import Problem
from deploy.local.stack.state import State

_FILE = "ports.json"

_RANGE = range(20_000, 30_000)
"""Below the ephemeral range, from which outgoing connections would take our ports."""


def choose_ports(state: State, names: Iterable[str]) -> dict[str, int]:
    """A free port for each name: the stored one if it is still free."""
    ports: dict[str, int] = state.read(_FILE) or {}
    for name in names:
        if name not in ports or not _is_free(ports[name]):
            ports[name] = _free_port(taken=ports.values())
    state.write(_FILE, ports)
    return ports


def check_public_port(port: int) -> None:
    """Raises a Problem with the name of the process that listens on the port, if one does."""
    if _is_free(port):
        return
    raise Problem(
        f"Port {port} is taken by {_holder(port)}:"
        f" stop it, or choose another port, as in PROOFGRAPH_PORT={port + 1}."
    )


def _free_port(taken: Iterable[int]) -> int:
    taken = set(taken)
    generator = random.SystemRandom()
    for _ in range(1000):
        port = generator.choice(_RANGE)
        if port not in taken and _is_free(port):
            return port
    raise Problem(f"No port between {_RANGE.start} and {_RANGE.stop} is free: stop some programs.")


def _is_free(port: int) -> bool:
    # With SO_REUSEADDR a port counts as taken by listeners, not by connections in TIME_WAIT.
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise Problem(f"Port {port} cannot be opened: {error.strerror}.") from error
    return True


def _holder(port: int) -> str:
    try:
        for connection in psutil.net_connections("tcp"):
            listens_at = connection.laddr and connection.laddr.port
            if connection.status != psutil.CONN_LISTEN or listens_at != port:
                continue
            if connection.pid is not None:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        pass  # the processes of other users are not always visible
    return "another process"
