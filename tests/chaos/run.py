"""One chaos run: starts a stack, sends load, injects faults and verifies the stores."""

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
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
from tests.chaos.faults import Fault, FaultInjector, FaultKind, draw_faults
from tests.chaos.load import Load
from tests.chaos.observers import EffectObserver
from tests.chaos.power import PowerSimulator
from tests.chaos.recovery import RecoveryMeter
from tests.chaos.sent_events import SentEvent, SentEvents
from tests.chaos.tenants import Tenant, new_tenant
from tests.chaos.verification import Findings, Verifier
from tests.fixtures.ports import free_port

_WARM_UP_SECONDS = 2.0
_SETTLE_SECONDS = 5.0
"""Time limit for counters and GraphQL API to agree with the ledger after the last event."""

_PAUSE_RANGE = (0.1, 0.6)
"""Range of the seconds from a recovery to the next fault."""

_EXCLUDED_PROCESSES = frozenset({"pages", "s3", "archiver"})
"""Processes that receive no faults, because no event of a run passes through them.

Celery beat may run inside `archiver`, which is excluded, or as a process `beat` of its own, which
receives faults."""


@dataclass(frozen=True)
class RunOptions:
    """What a run does.

    Attributes:
        fault_count: number of faults of any kind.
        seed: selects faults and load.
        state: folder of the stack's state and logs.
        tenants: number of merchants.
        workers: number of stream workers.
        only: processes that receive faults; empty: all but the excluded ones.
        kinds: kinds of fault to inject.
        worker: module that replaces the stream worker; empty: none.
        fsync: Valkey's `appendfsync`.
        timeout: seconds until a fault counts as not recovered, and an event as incomplete.
    """

    fault_count: int
    seed: int
    state: Path
    tenants: int = 3
    workers: int = 2
    only: tuple[str, ...] = ()
    kinds: tuple[FaultKind, ...] = tuple(FaultKind)
    worker: str = ""
    fsync: str = "always"
    timeout: float = 60.0


@dataclass(frozen=True)
class Impact:
    """A fault, and the seconds that each path took to recover from it."""

    fault: Fault
    paths: dict[str, float]

    @property
    def recovery(self) -> float:
        """Seconds until the last path had recovered."""
        return max(self.paths.values())


@dataclass
class Outcome:
    """The results of a run.

    Attributes:
        incomplete: acknowledged events that still lacked an effect after the timeout.
        truncations: the number of bytes that each power cut removed.
        connections: number of subscriptions that the subscribers started.
        seconds: duration of the run.
    """

    options: RunOptions
    sent: SentEvents
    impacts: list[Impact] = field(default_factory=list)
    findings: Findings = field(default_factory=Findings)
    incomplete: list[SentEvent] = field(default_factory=list)
    truncations: list[int] = field(default_factory=list)
    connections: int = 0
    seconds: float = 0.0


async def run(options: RunOptions, on_impact: Callable[[Impact], None]) -> Outcome:
    """Run the chaos test; calls `on_impact` after the recovery from each fault."""
    started = time.monotonic()
    outcome = Outcome(options, SentEvents())
    power = PowerSimulator(options.state / "power") if PowerSimulator.is_available() else None
    # The load has its own random numbers: however many it draws, the seed selects the same faults.
    rng = random.Random(f"{options.seed} for the load")
    async with _stack(options, power) as stack, AsyncExitStack() as running:
        client = await running.enter_async_context(
            httpx.AsyncClient(base_url=stack.url, timeout=20)
        )
        tenants = [await new_tenant(client) for _ in range(options.tenants)]
        observer = EffectObserver(
            outcome.sent,
            tenants,
            database_url=stack.env["WORKER_DATABASE_URL"],
            clickhouse_url=stack.stores["clickhouse"],
        )
        loads = [
            Load(it, outcome.sent, stack.url, index=index, rng=random.Random(rng.random()))
            for index, it in enumerate(tenants)
        ]
        await running.enter_async_context(_background(stack, tenants, observer, rng))
        loading = asyncio.gather(*(load.run() for load in loads))
        await asyncio.sleep(_WARM_UP_SECONDS)
        injector = FaultInjector(stack, power)
        meter = RecoveryMeter(outcome.sent, tenants, observer)
        await _inject_faults(outcome, injector, meter, list(stack.pids), on_impact)
        for load in loads:
            load.stop()
        await _drain(outcome, loading)
        outcome.findings = await _verify(stack, outcome, tenants)
        outcome.connections = sum(tenant.connections for tenant in tenants)
    outcome.truncations = power.truncations() if power else []
    outcome.seconds = time.monotonic() - started
    return outcome


async def _inject_faults(
    outcome: Outcome,
    injector: FaultInjector,
    meter: RecoveryMeter,
    processes: Sequence[str],
    on_impact: Callable[[Impact], None],
) -> None:
    options = outcome.options
    rng = random.Random(options.seed)
    targets = options.only or tuple(sorted(set(processes) - _EXCLUDED_PROCESSES))
    faults = draw_faults(targets, rng, kinds=options.kinds)
    for fault in islice(faults, options.fault_count):
        injected_at = await injector.inject(fault)
        impact = Impact(fault, await meter.measure(injected_at, max_seconds=options.timeout))
        outcome.impacts.append(impact)
        on_impact(impact)
        await asyncio.sleep(rng.uniform(*_PAUSE_RANGE))


@asynccontextmanager
async def _stack(options: RunOptions, power: PowerSimulator | None) -> AsyncIterator[Stack]:
    commands: dict[str, list[str]] = {}
    if power is not None:
        power.build()
        commands["valkey"] = power.command_for(OWN_COMMAND) + ["--appendfsync", options.fsync]
    if options.worker:
        names = ["stream-worker", *(f"stream-worker.{n}" for n in range(2, options.workers + 1))]
        commands |= {name: [sys.executable, "-m", options.worker] for name in names}
    stack = Stack(
        state=options.state,
        port=free_port(),
        split=False,
        workers=options.workers,
        commands=commands,
    )
    async with stack:
        yield stack


@asynccontextmanager
async def _background(
    stack: Stack, tenants: list[Tenant], observer: EffectObserver, rng: random.Random
) -> AsyncIterator[None]:
    """Run the observer and the subscribers during the block.

    The first subscriber never closes its connection; only faults break it.
    """
    running = [asyncio.create_task(observer.run())]
    for index, tenant in enumerate(tenants):
        closes = random.Random(rng.random()) if index else None
        running.append(asyncio.create_task(tenant.subscribe(stack.url, closes)))
    try:
        yield
    finally:
        await cancellation.cancel_and_wait(*running)
        ended = await asyncio.gather(*running, return_exceptions=True)
    for error in ended:
        if isinstance(error, Exception):
            raise error


async def _drain(outcome: Outcome, loading: "asyncio.Future[list[None]]") -> None:
    """Wait until every event is acknowledged and has its effects, or until the timeout."""
    deadline = time.monotonic() + outcome.options.timeout
    await asyncio.wait({loading}, timeout=outcome.options.timeout)
    if loading.done():
        loading.result()
    else:
        loading.cancel()
    while True:
        outcome.incomplete = outcome.sent.pending()
        if not outcome.incomplete or time.monotonic() > deadline:
            return
        await asyncio.sleep(0.1)


async def _verify(stack: Stack, outcome: Outcome, tenants: list[Tenant]) -> Findings:
    """Compare the stores until they agree, at most for `_SETTLE_SECONDS`."""
    database = await asyncpg.connect(stack.env["WORKER_DATABASE_URL"])
    parameters = {"database": "proofgraph"}
    deadline = time.monotonic() + _SETTLE_SECONDS
    try:
        async with (
            httpx.AsyncClient(base_url=stack.stores["clickhouse"], params=parameters) as clickhouse,
            Redis.from_url(stack.stores["redis"]) as redis,
        ):
            verifier = Verifier(database=database, clickhouse=clickhouse, redis=redis)
            while True:
                findings = await verifier.verify(outcome.sent, tenants)
                if findings.is_empty or time.monotonic() > deadline:
                    return findings
                await asyncio.sleep(0.5)
    finally:
        await database.close()
