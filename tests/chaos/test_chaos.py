"""A run of 20 faults loses no event, and a run with a faulty worker reports the lost events."""

import asyncio
import json
import sys
from typing import Any

from deploy.local.stack.state import ROOT
from tests.chaos.power import PowerSimulator
from tests.fixtures.environment import GIVEN

SEED = "4"
FAULTS = "20"


async def run_chaos(*arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, JSON summary and the whole output."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos", *arguments),
        cwd=ROOT,
        env=GIVEN,
        stdout=asyncio.subprocess.PIPE,
    )
    stdout, _ = await process.communicate()
    output = stdout.decode()
    assert process.returncode is not None
    return process.returncode, json.loads(output.splitlines()[-1]), output


async def test_twenty_faults_lose_and_duplicate_no_event() -> None:
    code, summary, output = await run_chaos("--kills", FAULTS, "--seed", SEED)

    assert code == 0, output
    assert summary["faults"] == 20
    assert summary["lost"] == summary["duplicated"] == summary["out_of_order"] == 0
    assert summary["acknowledged"] > 500
    if PowerSimulator.is_available():
        assert summary["power_cuts"] > 0


async def test_events_lost_by_a_worker_that_acknowledges_early_are_reported() -> None:
    code, summary, output = await run_chaos(
        *("--kills", "3", "--seed", SEED, "--timeout", "4", "--workers", "1"),
        *("--only", "stream-worker", "--kind", "killed", "--worker", "tests.chaos.broken_worker"),
    )

    assert code == 1, output
    assert summary["lost"] > 0, output
