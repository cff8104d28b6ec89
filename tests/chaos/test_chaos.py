"""Twenty faults, and the proof that the harness sees what it is there to see."""

import asyncio
import json
import sys
from typing import Any

from deploy.local.stack.state import ROOT
from tests.chaos.power import Power
from tests.fixtures.environment import GIVEN

SEED = "4"
KILLS = "20"


async def chaos(*arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, figures and all that was said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos", *arguments),
        cwd=ROOT,
        env=GIVEN,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    said = output.decode()
    assert process.returncode is not None
    return process.returncode, json.loads(said.splitlines()[-1]), said


async def test_twenty_faults_lose_nothing_and_double_nothing() -> None:
    code, figures, said = await chaos("--kills", KILLS, "--seed", SEED)

    assert code == 0, said
    assert figures["kills"] == 20
    assert figures["lost"] == figures["doubled"] == figures["misordered"] == 0
    assert figures["acknowledged"] > 500
    if Power.can_be_cut():
        assert figures["power_cuts"] > 0


async def test_a_worker_that_acknowledges_first_is_caught() -> None:
    code, figures, said = await chaos(
        *("--kills", "3", "--seed", SEED, "--patience", "4", "--workers", "1"),
        *("--only", "stream-worker", "--kind", "killed", "--worker", "tests.chaos.broken_worker"),
    )

    assert code == 1, said
    assert figures["lost"] > 0, said
