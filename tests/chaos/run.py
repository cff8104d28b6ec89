"""One run: a stack, tenants, load, faults, and what became of it."""

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import asyncpg
import httpx
from redis.asyncio import Redis

from deploy.local.stack.options import OWN_COMMAND
from deploy.local.stack.stack import Stack
from subgraphs.kernel import cancellation
from tests.chaos.faults import Fault, Hand, Kind, draw
from tests.chaos.load import Load
from tests.chaos.power import Power
from tests.chaos.recovery import Recovery
from tests.chaos.tenants import Tenant, new_tenant
from tests.chaos.traces import Trace, Traces
from tests.chaos.verdict import Judge, Verdict
from tests.chaos.watch import Watch
from tests.fixtures.ports import free_port

_WARM_UP_SECONDS = 2.0
_SETTLE_SECONDS = 5.0
"""Counters and the graph may follow the last row by so much."""

_BETWEEN = (0.1, 0.6)
"""Seconds from a recovery to the next fault."""

_UNTOUCHED = frozenset({"pages", "s3", "archiver"})
"""Nothing that is sent here goes through them."""


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        only: these processes alone are the faults' victims; all if empty.
        kinds: only such faults.
        worker: the module that runs in place of the stream worker.
        fsync: Valkey's `appendfsync`.
        patience: seconds a recovery, and the end, are waited for.
    """

    kills: int
    seed: int
    state: Path
    tenants: int = 3
    workers: int = 2
    only: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = tuple(Kind)
    worker: str = ""
    fsync: str = "always"
    patience: float = 60.0


@dataclass(frozen=True)
class Felt:
    """A fault and how long each path took to recover."""

    fault: Fault
    paths: dict[str, float]

    @property
    def recovery(self) -> float:
        return max(self.paths.values())


@dataclass
class Outcome:
    """What became of it."""

    plan: Plan
    traces: Traces
    felt: list[Felt] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)
    late: list[Trace] = field(default_factory=list)
    """Acknowledged, and not all effects seen when patience ended."""
    cuts: list[int] = field(default_factory=list)
    connections: int = 0
    seconds: float = 0.0


async def run(plan: Plan, tell: Callable[[Felt], None]) -> Outcome:
    """Do it all; `tell` hears of each fault when it is over."""
    started = time.monotonic()
    outcome = Outcome(plan, Traces())
    power = Power(plan.state / "power") if Power.can_be_cut() else None
    dice = random.Random(f"{plan.seed} for the load")  # so that no load moves a fault
    async with _stack(plan, power) as stack, AsyncExitStack() as running:
        client = await running.enter_async_context(
            httpx.AsyncClient(base_url=stack.url, timeout=20)
        )
        tenants = [await new_tenant(client) for _ in range(plan.tenants)]
        watch = Watch(
            outcome.traces,
            tenants,
            database_url=stack.env["WORKER_DATABASE_URL"],
            clickhouse_url=stack.stores["clickhouse"],
        )
        loads = [
            Load(it, outcome.traces, stack.url, index=index, dice=random.Random(dice.random()))
            for index, it in enumerate(tenants)
        ]
        await running.enter_async_context(_background(stack, tenants, watch, dice))
        loading = asyncio.gather(*(load.run() for load in loads))
        await asyncio.sleep(_WARM_UP_SECONDS)
        hand, recovery = Hand(stack, power), Recovery(outcome.traces, tenants, watch)
        await _faults(outcome, hand, recovery, stack, tell)
        for load in loads:
            load.stop()
        await _drain(outcome, loading)
        outcome.verdict = await _judge(stack, outcome, tenants)
        outcome.connections = sum(tenant.connections for tenant in tenants)
    outcome.cuts = power.cuts() if power else []
    outcome.seconds = time.monotonic() - started
    return outcome


async def _faults(
    outcome: Outcome,
    hand: Hand,
    recovery: Recovery,
    stack: Stack,
    tell: Callable[[Felt], None],
) -> None:
    plan = outcome.plan
    dice = random.Random(plan.seed)
    victims = plan.only or tuple(sorted(stack.pids.keys() - _UNTOUCHED))
    for fault in islice(draw(victims, dice, kinds=plan.kinds), plan.kills):
        over = await hand.do(fault)
        felt = Felt(fault, await recovery.wait(over, patience=plan.patience))
        outcome.felt.append(felt)
        tell(felt)
        await asyncio.sleep(dice.uniform(*_BETWEEN))


@asynccontextmanager
async def _stack(plan: Plan, power: Power | None) -> AsyncIterator[Stack]:
    commands: dict[str, list[str]] = {}
    if power is not None:
        power.prepare()
        commands["valkey"] = power.command(OWN_COMMAND) + ["--appendfsync", plan.fsync]
    if plan.worker:
        names = ["stream-worker", *(f"stream-worker.{n}" for n in range(2, plan.workers + 1))]
        commands |= {name: [sys.executable, "-m", plan.worker] for name in names}
    stack = Stack(
        state=plan.state, port=free_port(), split=False, workers=plan.workers, commands=commands
    )
    async with stack:
        yield stack


@asynccontextmanager
async def _background(
    stack: Stack, tenants: list[Tenant], watch: Watch, dice: random.Random
) -> AsyncIterator[None]:
    """Followers and watchers; the first follower's connection breaks by faults alone."""
    running = [asyncio.create_task(watch.run())]
    for index, tenant in enumerate(tenants):
        breaks = random.Random(dice.random()) if index else None
        running.append(asyncio.create_task(tenant.follow(stack.url, breaks)))
    try:
        yield
    finally:
        await cancellation.cancel_and_wait(*running)
        ended = await asyncio.gather(*running, return_exceptions=True)
    for error in ended:
        if isinstance(error, Exception):
            raise error


async def _drain(outcome: Outcome, loading: "asyncio.Future[list[None]]") -> None:
    """Wait until everything is acknowledged and has had its effects, or patience ends."""
    deadline = time.monotonic() + outcome.plan.patience
    await asyncio.wait({loading}, timeout=outcome.plan.patience)
    if loading.done():
        loading.result()
    else:
        loading.cancel()
    while True:
        outcome.late = outcome.traces.waiting()
        if not outcome.late or time.monotonic() > deadline:
            return
        await asyncio.sleep(0.1)


async def _judge(stack: Stack, outcome: Outcome, tenants: list[Tenant]) -> Verdict:
    database = await asyncpg.connect(stack.env["WORKER_DATABASE_URL"])
    parameters = {"database": "proofgraph"}
    deadline = time.monotonic() + _SETTLE_SECONDS
    try:
        async with (
            httpx.AsyncClient(base_url=stack.stores["clickhouse"], params=parameters) as clickhouse,
            Redis.from_url(stack.stores["redis"]) as redis,
        ):
            judge = Judge(database=database, clickhouse=clickhouse, redis=redis)
            while True:
                verdict = await judge.judge(outcome.traces, tenants)
                if verdict.is_clean or time.monotonic() > deadline:
                    return verdict
                await asyncio.sleep(0.5)
    finally:
        await database.close()
