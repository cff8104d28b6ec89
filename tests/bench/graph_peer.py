"""The peer of `bench-graph`: Strawberry, FastAPI and SQLAlchemy as their documentation shows them.

Serves the same tables as the owner of the tables: no authentication, no row security, no limits.
`CACHED=1` adds Strawberry's caches of parsed and validated documents.
"""

import os
from datetime import datetime
from typing import Any, cast

import strawberry
from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from strawberry.extensions import ParserCache, ValidationCache
from strawberry.fastapi import GraphQLRouter

from subgraphs.sites import models

_engine = create_async_engine(os.environ["PEER_DATABASE_URL"])
_sessions = async_sessionmaker(_engine, expire_on_commit=False)


@strawberry.type
class Site:
    id: strawberry.ID
    name: str
    domain: str
    site_key: str
    created_at: datetime


@strawberry.type
class Edge:
    cursor: str
    node: Site


@strawberry.type
class Sites:
    edges: list[Edge]


@strawberry.type
class Query:
    @strawberry.field
    async def sites(self, first: int = 20) -> Sites:
        async with _sessions() as session:
            statement = select(models.Site).order_by(models.Site.id.desc()).limit(first)
            rows = (await session.scalars(statement)).all()
        return Sites(edges=[Edge(cursor=str(row.id), node=_site(row)) for row in rows])


def _site(row: models.Site) -> Site:
    return Site(
        id=strawberry.ID(str(row.id)),
        name=row.name,
        domain=row.domain,
        site_key=row.site_key,
        created_at=row.created_at,
    )


_caches = [ParserCache, ValidationCache] if os.environ.get("CACHED") else []
schema = strawberry.Schema(Query, extensions=cast(Any, _caches))
app = FastAPI()
app.include_router(GraphQLRouter(schema), prefix="/graphql")
