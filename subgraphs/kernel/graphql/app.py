"""The ASGI app that serves one or several subgraphs: GraphQL, health checks, clean shutdown."""

import gc
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from subgraphs.kernel import db, live, redis
from subgraphs.kernel.config import settings
from subgraphs.kernel.graphql.endpoint import GraphQLEndpoint
from subgraphs.kernel.graphql.schema import SubgraphSchema
from subgraphs.kernel.health import add_health
from subgraphs.kernel.identity.viewer import ViewerVerifier
from subgraphs.kernel.logging import configure_logging
from subgraphs.kernel.storage import clickhouse

_COLLECT_EVERY = 50_000
"""Allocations between two runs of the garbage collector. A page of analytics allocates thousands of
objects; with Python's default of 700 the collector takes longer than the query."""


class SubgraphsApp:
    """Sends each GraphQL path to its endpoint, and every other request to FastAPI.

    FastAPI serves the health checks and runs the lifespan. Its layers (exception handlers, routing,
    dependencies) take longer than a small query, so GraphQL requests do not pass through them.

    Attributes:
        http: the FastAPI app.
    """

    def __init__(self, endpoints: Mapping[str, GraphQLEndpoint], http: FastAPI) -> None:
        self._endpoints = endpoints
        self.http = http

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._endpoints.get(scope.get("path", ""))
        await (endpoint or self.http)(scope, receive, send)


def create_app(schemas: Mapping[str, SubgraphSchema]) -> SubgraphsApp:
    """Serve each schema at `/<name>/graphql`; every request needs a signed viewer header.

    Args:
        schemas: the schema of each subgraph, by the subgraph's name.
    """
    verifier = ViewerVerifier(settings().viewer_verify_key)
    endpoints = {
        f"/{name}/graphql": GraphQLEndpoint(schema, verifier) for name, schema in schemas.items()
    }
    http = FastAPI(title="Proofgraph subgraphs", docs_url=None, redoc_url=None, lifespan=_lifespan)
    add_health(http, [db.ping])
    return SubgraphsApp(endpoints, http)


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
