"""The ASGI app that serves one or several subgraphs: GraphQL, health checks, clean shutdown."""

import gc
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI
from strawberry.fastapi import GraphQLRouter
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL

from subgraphs.kernel import db, live, redis
from subgraphs.kernel.config import settings
from subgraphs.kernel.errors import ProofgraphError
from subgraphs.kernel.graphql.context import Context, context_getter
from subgraphs.kernel.graphql.schema import SubgraphSchema
from subgraphs.kernel.health import add_health, answer_error
from subgraphs.kernel.identity.viewer import ViewerVerifier
from subgraphs.kernel.logging import configure_logging
from subgraphs.kernel.storage import clickhouse

_COLLECT_EVERY = 50_000
"""Allocations between two runs of the garbage collector. A page of analytics allocates thousands of
objects; with Python's default of 700 the collector takes longer than the query."""


def create_app(schemas: Mapping[str, SubgraphSchema]) -> FastAPI:
    """Serve each schema at `/<name>/graphql`; every request needs a signed viewer header.

    Args:
        schemas: the schema of each subgraph, by the subgraph's name.
    """
    app = FastAPI(title="Proofgraph subgraphs", docs_url=None, redoc_url=None, lifespan=_lifespan)
    getter = context_getter(ViewerVerifier(settings().viewer_verify_key))
    for name, schema in schemas.items():
        router = GraphQLRouter[Context, None](
            schema,
            context_getter=getter,
            graphql_ide=None,
            allow_queries_via_get=False,
            subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL],
        )
        app.include_router(router, prefix=f"/{name}/graphql")
    add_health(app, [db.ping])
    app.add_exception_handler(ProofgraphError, answer_error)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    configure_logging()
    threshold = gc.get_threshold()
    gc.freeze()  # modules live as long as the process: the collector can skip them
    gc.set_threshold(_COLLECT_EVERY)
    yield
    gc.set_threshold(*threshold)
    gc.unfreeze()
    for dispose in (live.dispose, clickhouse.dispose, redis.dispose, db.dispose):
        await dispose()
