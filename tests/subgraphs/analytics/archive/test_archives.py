"""The archive in the graph: each site sees its share, and owners and admins restore it."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from deploy.local.stack.stack import Stack
from subgraphs.analytics.archive import restores
from subgraphs.analytics.schema import schema
from subgraphs.kernel import db
from subgraphs.kernel.config import settings
from subgraphs.kernel.identity.viewer import NOBODY
from subgraphs.kernel.storage import objects
from subgraphs.kernel.storage.objects import ObjectStoreError
from tests.fixtures.graph import run
from tests.fixtures.shop import Shop, new_shop
from tests.workers.archive.archiving import (
    PartitionRange,
    add,
    archive_all,
    as_text,
    make_due,
    month_ago,
    partition_at,
    rows_of,
)
from workers.restores import advance_all as advance_all_restores

pytestmark = pytest.mark.usefixtures("stores")

MONTH = 16
"""Months ago of the archived events. Tests that archive a month themselves use another one."""

ARCHIVED_SHOPS = 5
"""As many as tests use the fixture `archived`."""

ARCHIVES = """
query($sites: [_Any!]!) {
  _entities(representations: $sites) {
    ... on Site {
      archives(first: 10) {
        edges { node { id table rangeStart rangeEnd firstAt lastAt rows sha256 status
                       restores { edges { node { id status } } } } }
        pageInfo { hasNextPage }
      }
    }
  }
}"""
ARCHIVE = "query($id: ID!) { archive(id: $id) { id rows } }"
RESTORE = """
mutation($input: RestoreArchiveInput!) { restoreArchive(input: $input) { id status days } }"""
EVENTS = """
query($id: ID!, $first: Int!, $after: String) {
  archiveRestore(id: $id) {
    status rows readyAt expiresAt
    events(first: $first, after: $after) {
      edges { cursor node { data } }
      pageInfo { hasNextPage endCursor }
    }
  }
}"""


async def archives_of(shop: Shop, viewer: Any = None) -> list[dict[str, Any]]:
    sites = [{"__typename": "Site", "id": str(shop.site_id)}]
    answer = await run(schema, viewer or shop.owner, ARCHIVES, sites=sites)
    assert answer.codes == []
    return [edge["node"] for edge in answer.data["_entities"][0]["archives"]["edges"]]


async def request_restore(viewer: Any, archive_id: str, days: int = 3) -> Any:
    return await run(schema, viewer, RESTORE, input={"archiveId": archive_id, "days": days})


async def get_restore(
    shop: Shop, restore_id: str, first: int = 100, after: str | None = None
) -> Any:
    answer = await run(schema, shop.owner, EVENTS, id=restore_id, first=first, after=after)
    assert answer.codes == []
    return answer.data["archiveRestore"]


class ArchivedShops(NamedTuple):
    """Shops whose events of a month are in the same files."""

    unused: list[Shop]
    """A shop for each test, because restores change it."""
    other: Shop
    events: PartitionRange
    """The partition that the source events were in."""


@pytest.fixture(scope="module")
async def archived_shops(stores: Stack) -> ArchivedShops:
    shops, other = [await new_shop() for _ in range(ARCHIVED_SHOPS)], await new_shop()
    for shop in shops:
        await add(shop, month_ago(MONTH), 12)
    await add(other, month_ago(MONTH), 7)
    events = await partition_at("events", month_ago(MONTH))
    assert events is not None
    await archive_all()
    return ArchivedShops(shops, other, events)


@pytest.fixture
def archived(archived_shops: ArchivedShops) -> tuple[Shop, Shop]:
    """Two shops whose events of a month are in the same files; the first one has no restores."""
    return archived_shops.unused.pop(), archived_shops.other


async def test_site_sees_only_its_own_share(
    archived: tuple[Shop, Shop], archived_shops: ArchivedShops
) -> None:
    shop, other = archived
    mine, theirs = await archives_of(shop), await archives_of(other)

    assert {one["table"]: one["rows"] for one in mine} == {"EVENTS": 12, "NOTIFICATION_EVENTS": 12}
    assert {one["table"]: one["rows"] for one in theirs} == {"EVENTS": 7, "NOTIFICATION_EVENTS": 7}
    assert {one["sha256"] for one in mine} == {one["sha256"] for one in theirs}
    events = next(one for one in mine if one["table"] == "EVENTS")
    assert events | {"id": "", "sha256": ""} == {
        "id": "",
        "sha256": "",
        "table": "EVENTS",
        "rangeStart": archived_shops.events.start.isoformat(),
        "rangeEnd": archived_shops.events.end.isoformat(),
        "firstAt": month_ago(MONTH).isoformat(),
        "lastAt": (month_ago(MONTH) + timedelta(milliseconds=11 * 1013)).isoformat(),
        "rows": 12,
        "status": "ARCHIVED",
        "restores": {"edges": []},
    }
    assert await archives_of(other, shop.owner) == []
    assert (await run(schema, shop.owner, ARCHIVE, id=events["id"])).data["archive"]["rows"] == 12
    for id_ in events["id"], str(uuid4()), "none":
        assert (await run(schema, other.owner, ARCHIVE, id=id_)).codes == ["NOT_FOUND"]


async def test_only_owners_and_admins_restore(archived: tuple[Shop, Shop]) -> None:
    shop, other = archived
    archive_id = (await archives_of(shop))[0]["id"]

    assert (await request_restore(shop.looker, archive_id)).codes == ["FORBIDDEN"]
    assert (await request_restore(other.owner, archive_id)).codes == ["NOT_FOUND"]
    assert (await request_restore(shop.storefront, archive_id)).codes == ["FORBIDDEN"]
    assert (await request_restore(NOBODY, archive_id)).codes == ["UNAUTHENTICATED"]
    for days in 0, 31:
        assert (await request_restore(shop.owner, archive_id, days)).codes == ["BAD_USER_INPUT"]
    assert (await archives_of(shop))[0]["restores"] == {"edges": []}


@pytest.fixture
async def slow_restore() -> Any:
    """S3 restores an object only at the second poll after the request."""
    url = f"{settings().s3_url}/moto-api/state-manager"
    model = {"model_name": "s3::keyrestore"}
    async with httpx.AsyncClient(trust_env=False) as client:
        slow = {**model, "transition": {"progression": "manual", "times": 2}}
        (await client.post(f"{url}/set-transition", json=slow)).raise_for_status()
        yield
        (await client.post(f"{url}/unset-transition", json=model)).raise_for_status()


async def test_restored_month_equals_the_archived_rows(slow_restore: None) -> None:
    month, count = month_ago(18), 2_500
    shop, other = await new_shop(), await new_shop()
    await add(shop, month, count)
    await add(other, month, 20)
    before = await rows_of(shop)
    await archive_all()
    assert await rows_of(shop) == ([], [])

    for archive in await archives_of(shop):
        table = archive["table"].lower()
        answer = await request_restore(shop.owner, archive["id"])
        restore = answer.data["restoreArchive"]
        assert restore | {"id": ""} == {"id": "", "status": "REQUESTED", "days": 3}
        assert (await request_restore(shop.owner, archive["id"])).codes == ["CONFLICT"]
        assert (await get_restore(shop, restore["id"]))["events"]["edges"] == []

        seen: list[str] = []
        while not seen or seen[-1] != "READY":
            await make_due()
            await advance_all_restores()
            seen.append((await get_restore(shop, restore["id"]))["status"])
        assert seen[0] == "WAITING"
        rows = await as_text(f"restored.{table}", "restore_id = :id", UUID(restore["id"]))
        assert rows == (before.events if table == "events" else before.notification_events)
        assert (await get_restore(shop, restore["id"]))["rows"] == count


async def test_restored_events_are_paged_until_the_restore_expires(
    archived: tuple[Shop, Shop],
) -> None:
    shop, other = archived
    archive = next(one for one in await archives_of(shop) if one["table"] == "EVENTS")
    restore_id = (await request_restore(shop.owner, archive["id"])).data["restoreArchive"]["id"]
    await advance_all_restores()

    pages: list[Any] = []
    after = None
    while not pages or pages[-1]["pageInfo"]["hasNextPage"]:
        page = (await get_restore(shop, restore_id, 5, after))["events"]
        pages.append(page)
        after = page["pageInfo"]["endCursor"]
    data = [edge["node"]["data"] for page in pages for edge in page["edges"]]
    assert [len(page["edges"]) for page in pages] == [5, 5, 2]
    assert [row["payload"]["n"] for row in data] == list(range(12))
    assert {row["site_id"] for row in data} == {str(shop.site_id)}
    assert set(data[0]) == {
        "time",
        "id",
        "account_id",
        "site_id",
        "event_type",
        "captured_at",
        "source",
        "visitor_id",
        "payload",
    }
    assert (await run(schema, other.owner, EVENTS, id=restore_id, first=5)).codes == ["NOT_FOUND"]
    for wrong in {"first": 0}, {"first": 101}, {"first": 5, "after": "x"}:
        variables = {"after": None, **wrong}
        answer = await run(schema, shop.owner, EVENTS, id=restore_id, **variables)
        assert answer.codes == ["BAD_USER_INPUT"]
    async with db.read_session(other.owner) as session:
        assert await session.scalar(text("SELECT count(*) FROM restored.events")) == 0
    async with db.read_session(shop.owner) as session:
        assert await session.scalar(text("SELECT count(*) FROM restored.events")) == 12

    await restores.advance(UUID(restore_id), datetime.now(UTC) + timedelta(days=3, minutes=1))

    expired = await get_restore(shop, restore_id)
    assert (expired["status"], expired["events"]["edges"]) == ("EXPIRED", [])
    assert await as_text("restored.events", "restore_id = :id", UUID(restore_id)) == []
    assert (await request_restore(shop.owner, archive["id"])).codes == []


async def test_read_only_member_reads_no_restored_events(
    archived: tuple[Shop, Shop],
) -> None:
    shop, _ = archived
    archive = next(one for one in await archives_of(shop) if one["table"] == "EVENTS")
    restore_id = (await request_restore(shop.owner, archive["id"])).data["restoreArchive"]["id"]
    await advance_all_restores()

    denied = await run(schema, shop.looker, EVENTS, id=restore_id, first=5)

    assert (denied.data, denied.codes) == ({"archiveRestore": None}, ["FORBIDDEN"])
    assert (await archives_of(shop, shop.looker))[0]["rows"] == 12
    assert len((await get_restore(shop, restore_id))["events"]["edges"]) == 12


async def test_interrupted_restore_leaves_no_rows_and_is_retried(
    archived: tuple[Shop, Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, _ = archived
    restore_id = (await request_restore(shop.owner, (await archives_of(shop))[0]["id"])).data[
        "restoreArchive"
    ]["id"]
    insert, calls = restores._insert, 0

    async def failing(*arguments: Any) -> None:
        nonlocal calls
        calls += str(arguments[1].id) == restore_id
        await insert(*arguments)
        raise ObjectStoreError("unavailable")

    with monkeypatch.context() as patch:
        patch.setattr(restores, "_insert", failing)
        await advance_all_restores()
        await advance_all_restores()  # not due yet
    assert calls == 1
    assert (await get_restore(shop, restore_id))["status"] == "LOADING"

    await make_due()
    await advance_all_restores()
    restore = await get_restore(shop, restore_id)
    assert (restore["status"], restore["rows"]) == ("READY", 12)


async def test_archive_still_in_the_ledger_is_not_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(*_: object, **__: object) -> str:
        raise ObjectStoreError("unavailable")

    shop = await new_shop()
    await add(shop, month_ago(21), 3)
    with monkeypatch.context() as patch:
        patch.setattr(objects, "copy", unavailable)
        await archive_all(turns=1)

    (first, _) = await archives_of(shop)
    assert first["status"] == "ARCHIVING"
    assert (await request_restore(shop.owner, first["id"])).codes == ["CONFLICT"]
    await archive_all()
