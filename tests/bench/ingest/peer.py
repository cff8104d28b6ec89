"""The peer: an ingest endpoint on FastAPI, pydantic and redis-py, in their documented style.

It does the same work as ours: it checks site key, origin, rate limit, number of events, schema and
clock. It stores each id once, and awaits the append before the 202. It uses our site key look-up
and our append script.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import FastAPI, HTTPException, Request
from pydantic import AwareDatetime, BaseModel, Field, ValidationError
from pydantic.alias_generators import to_camel

from subgraphs.analytics.ingest import bots
from subgraphs.analytics.ingest.token_buckets import TokenBuckets
from subgraphs.kernel.config import settings
from subgraphs.kernel.identity.credentials import SiteAccess, SiteKeys
from subgraphs.kernel.identity.origins import origin_allowed
from subgraphs.kernel.streams import event_streams
from subgraphs.kernel.streams.envelope import EVENTS_TOPIC
from subgraphs.kernel.streams.interface import Record

Short = Annotated[str, Field(max_length=100)]


class CamelModel(BaseModel):
    model_config = {"alias_generator": to_camel, "populate_by_name": True}


class SnippetEvent(CamelModel):
    id: UUID
    type: Literal["shown", "clicked", "dismissed", "withheld", "page.viewed", "goal.reached"]
    occurred_at: AwareDatetime
    claim_id: UUID | None = None
    visitor_id: Short | None = None
    page: Annotated[str, Field(max_length=2000)] | None = None
    goal: Short | None = None


class Body(CamelModel):
    site_key: Short
    events: Annotated[list[SnippetEvent], Field(max_length=100)]


class Envelope(CamelModel):
    id: UUID
    site_id: UUID
    account_id: UUID
    type: str
    occurred_at: datetime
    captured_at: datetime
    source: str
    visitor_id: str | None
    payload: dict[str, Any]


class Result(CamelModel):
    id: str
    status: str
    reason: str | None = None


class Response(CamelModel):
    results: list[Result]


app = FastAPI()
_keys = SiteKeys()
_buckets = TokenBuckets()
# redis-py's pool has 100 connections by default and raises an error when all are in use.
_streams = event_streams.connect(f"{settings().redis_url}?max_connections=256")


@app.post("/v1/events", status_code=202)
async def ingest(request: Request) -> Response:
    try:  # not by FastAPI: the snippet sends text/plain, which needs no CORS preflight
        body = Body.model_validate_json(await request.body())
    except ValidationError as error:
        raise HTTPException(400, str(error)) from error
    site = await _keys.find(body.site_key)
    if site is None:
        raise HTTPException(401, "This site key is not known.")
    if not origin_allowed(request.headers.get("origin", ""), site.domain):
        raise HTTPException(403, "This site key belongs to another origin.")
    monotonic = time.monotonic()
    bucket = _buckets.of(site.site_id, site.events_per_second, monotonic)
    if bucket.charge(len(body.events), monotonic):
        raise HTTPException(429, "Too many events.")
    now = datetime.now(UTC)
    records, results = [], []
    for event in body.events:
        if reason := _refusal(event, now):
            results.append(Result(id=str(event.id), status="refused", reason=reason))
            continue
        encoded = _envelope(event, site, request, now).model_dump_json(by_alias=True).encode()
        records.append(Record(str(site.site_id), str(event.id), encoded))
        results.append(Result(id=str(event.id), status="accepted"))
    new = iter(await _streams.append_once(EVENTS_TOPIC, records) if records else [])
    for result in results:
        if result.status == "accepted" and not next(new):
            result.status = "duplicate"
    return Response(results=results)


def _refusal(event: SnippetEvent, now: datetime) -> str | None:
    if event.type != "page.viewed" and event.claim_id is None:
        return "BAD_EVENT"
    if not now - timedelta(hours=24) <= event.occurred_at <= now + timedelta(minutes=5):
        return "CLOCK_SKEW"
    return None


def _envelope(event: SnippetEvent, site: SiteAccess, request: Request, now: datetime) -> Envelope:
    agent = request.headers.get("user-agent", "")
    return Envelope(
        id=event.id,
        site_id=site.site_id,
        account_id=site.account_id,
        type=f"claim.{event.type}" if event.claim_id else event.type,
        occurred_at=event.occurred_at,
        captured_at=now,
        source="snippet",
        visitor_id=event.visitor_id,
        payload={
            "claimId": event.claim_id,
            "page": event.page,
            "device": bots.device_of(agent),
            "bot": bots.rule_of(agent),
            "country": request.headers.get("cf-ipcountry"),
        },
    )
