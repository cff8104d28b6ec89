"""The archive when its process is killed: no row is lost and none is repeated."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from subgraphs.analytics.archive import lifecycle, planning, removal, staging
from subgraphs.analytics.archive.models import Archive
from subgraphs.kernel import db
from subgraphs.kernel.storage import objects
from subgraphs.kernel.storage.objects import uploads
from tests.fixtures.deadline import eventually
from tests.fixtures.processes import Process
from tests.fixtures.shop import Shop, new_shop
from tests.workers.archive.archiving import (
    add,
    archived,
    archives_of,
    keep_for,
    month_ago,
    names_in_s3,
    rows_of,
)
from workers.archive import advance_all

pytestmark = pytest.mark.usefixtures("stores")


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several parts where there would be one, deleted in several batches."""
    monkeypatch.setattr(staging, "_FETCH_ROWS", 10)
    monkeypatch.setattr(staging, "GROUP_ROWS", 10)
    monkeypatch.setattr(staging, "PART_ROWS", 20)
    monkeypatch.setattr(removal, "_BATCH_ROWS", 15)


class Killed(BaseException):
    """Stands for a SIGKILL: no code handles it."""


class Killer:
    """Raises `Killed` before and after each external effect of the archiver, once each."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.kills: list[str] = []
        self._step = ""
        for name in ("start_upload", "upload_part", "complete_upload"):
            patch.setattr(uploads, name, self._killing(name, getattr(uploads, name)))
        for name in ("copy", "download", "delete_all"):
            patch.setattr(objects, name, self._killing(name, getattr(objects, name)))
        abort, commit, step = objects.abort_upload, AsyncSession.commit, lifecycle._step

        def aborting(key: str, upload_id: str) -> None:
            if self._step:  # a killed process cleans nothing up
                abort(key, upload_id)

        async def committing(session: AsyncSession) -> None:
            self._at("before commit")
            await commit(session)
            self._at("after commit")

        async def stepping(connection: Any, archive: Archive, *others: Any) -> bool:
            self._step = f"{archive.status} {archive.part} {archive.removed}"
            done = await step(connection, archive, *others)
            self._step = ""
            return done

        patch.setattr(uploads, "abort_upload", aborting)
        patch.setattr(AsyncSession, "commit", committing)
        patch.setattr(lifecycle, "_step", stepping)

    def _at(self, point: str) -> None:
        where = f"{self._step} {point}"
        if self._step and where not in self.kills:
            self.kills.append(where)
            self._step = ""
            raise Killed(where)

    def _killing(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def killing(*arguments: object, **named: object) -> object:
            self._at(f"before {name}")
            answer = work(*arguments, **named)
            self._at(f"after {name}")
            return answer

        return killing


@pytest.mark.parametrize("others_stay", [False, True], ids=["partition dropped", "rows deleted"])
async def test_an_archiver_killed_at_every_step_loses_and_repeats_no_row(
    others_stay: bool, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    month = month_ago(11 if others_stay else 10)
    shop, other = await new_shop(), await new_shop()
    await add(shop, month, 25, tables=("events",))
    if others_stay:
        await keep_for(other, 365)
        await add(other, month, 5, tables=("events",))
    before, others = await rows_of(shop), await rows_of(other)
    await planning.plan()

    kills = 0
    with monkeypatch.context() as patch:
        killer = Killer(patch)
        while await lifecycle.due():
            try:
                await advance_all()
            except Killed:
                kills += 1
                assert await rows_somewhere(shop) >= 25

    assert kills == len(killer.kills)
    assert {where.split()[0] for where in killer.kills} == {
        "PLANNED",
        "STAGED",
        "VERIFIED",
        "STORED",
        "DROPPED",
    }
    assert await rows_of(shop) == ([], [])
    assert await rows_of(other) == others
    assert await archived(shop) == before
    assert await archives_of(shop, "part, status, rows") == [(0, "DROPPED", 20), (1, "DROPPED", 5)]
    assert names_in_s3("staging/") == []


async def rows_somewhere(shop: Shop) -> int:
    """The number of rows in PostgreSQL or in stored archives."""
    statement = text("""
        SELECT (SELECT count(*) FROM events WHERE site_id = :site)
            + (SELECT coalesce(sum(s.rows), 0) FROM archive_shares s JOIN archives a
               ON a.id = s.archive_id AND a.status IN ('STORED', 'DROPPED')
               WHERE s.site_id = :site)""")
    async with db.service_transaction() as session:
        return int(await session.scalar(statement, {"site": shop.site_id}) or 0)


async def test_the_next_worker_finishes_what_a_killed_one_left() -> None:
    shop = await new_shop()
    await add(shop, month_ago(12), 3_000)
    before = await rows_of(shop)
    await planning.plan()

    async def statuses() -> list[str]:
        return [row[0] for row in await archives_of(shop, "status")]

    worker = Process("tests.workers.archive.archiver")
    await eventually(lambda: worker.said("copied"), bool, seconds=60)
    worker.kill()
    assert await statuses() != ["DROPPED", "DROPPED"]
    await advance_all()

    assert await statuses() == ["DROPPED", "DROPPED"]
    assert await rows_of(shop) == ([], [])
    assert await archived(shop) == before
