"""Exports, asked for through the schema and made by hand."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx

from subgraphs.analytics.exports import job
from subgraphs.analytics.schema import schema
from subgraphs.kernel.identity.viewer import Viewer
from tests.fixtures.graph import Answer, run
from tests.fixtures.shop import Shop

START = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=3)
DAY = f"{START:%Y-%m-%d}"
EXPORT = """
mutation($input: ExportEventsInput!) { exportEvents(input: $input) { id status progress url } }"""
FIND = """
query($id: ID!) { export(id: $id) { status format progress rows bytes url expiresAt types } }"""
LIST = """
query($sites: [_Any!]!) {
  _entities(representations: $sites) {
    ... on Site { exports(first: 5) { edges { node { id status } } } }
  }
}"""


async def ask(viewer: Viewer, shop: Shop, **others: Any) -> Answer:
    asked = {
        "siteId": str(shop.site_id),
        "start": START.isoformat(),
        "end": (START + timedelta(days=1)).isoformat(),
        "format": "NDJSON",
        **others,
    }
    return await run(schema, viewer, EXPORT, input=asked)


async def start(shop: Shop, **others: Any) -> UUID:
    answer = await ask(shop.owner, shop, **others)
    assert answer.codes == []
    assert answer.data["exportEvents"] | {"id": ""} == {
        "id": "",
        "status": "QUEUED",
        "progress": 0.0,
        "url": None,
    }
    return UUID(answer.data["exportEvents"]["id"])


async def make(export_id: UUID) -> None:
    await job.advance(export_id, time.monotonic() + 60)


async def find(shop: Shop, export_id: UUID) -> dict[str, Any]:
    found: dict[str, Any] = (await run(schema, shop.owner, FIND, id=str(export_id))).data["export"]
    return found


async def fetch(url: str) -> bytes:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(url)).raise_for_status().content


async def exports_of(shop: Shop) -> list[Any]:
    answer = await run(
        schema, shop.owner, LIST, sites=[{"__typename": "Site", "id": str(shop.site_id)}]
    )
    return [edge["node"] for edge in answer.data["_entities"][0]["exports"]["edges"]]
