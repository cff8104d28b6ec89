"""Helpers of tests of exports: request an export, run its job, download its file."""

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


async def request_export(viewer: Viewer, shop: Shop, **others: Any) -> Answer:
    input_ = {
        "siteId": str(shop.site_id),
        "start": START.isoformat(),
        "end": (START + timedelta(days=1)).isoformat(),
        "format": "NDJSON",
        **others,
    }
    return await run(schema, viewer, EXPORT, input=input_)


async def start_export(shop: Shop, **others: Any) -> UUID:
    """Request an export as the owner; its ID."""
    answer = await request_export(shop.owner, shop, **others)
    assert answer.codes == []
    assert answer.data["exportEvents"] | {"id": ""} == {
        "id": "",
        "status": "QUEUED",
        "progress": 0.0,
        "url": None,
    }
    return UUID(answer.data["exportEvents"]["id"])


async def run_job(export_id: UUID) -> None:
    """Write the file of an export."""
    await job.advance(export_id, time.monotonic() + 60)


async def get_export(shop: Shop, export_id: UUID) -> dict[str, Any]:
    export: dict[str, Any] = (await run(schema, shop.owner, FIND, id=str(export_id))).data["export"]
    return export


async def download(url: str) -> bytes:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(url)).raise_for_status().content


async def exports_of(shop: Shop) -> list[Any]:
    answer = await run(
        schema, shop.owner, LIST, sites=[{"__typename": "Site", "id": str(shop.site_id)}]
    )
    return [edge["node"] for edge in answer.data["_entities"][0]["exports"]["edges"]]
