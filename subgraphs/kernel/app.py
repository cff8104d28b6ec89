"""The ASGI app around one subgraph or several: GraphQL, health, and a tidy end."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.status import HTTP_503_SERVICE_UNAVAILABLE
from strawberry.fastapi import GraphQLRouter
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL

from subgraphs.kernel import clickhouse, db, live, redis, telemetry
from subgraphs.kernel.auth import ViewerVerifier
from subgraphs.kernel.config import settings
from subgraphs.kernel.context import Context, context_getter
from subgraphs.kernel.errors import ProofgraphError
from subgraphs.kernel.schema import SubgraphSchema

Check = Callable[[], Awaitable[None]]


def create_app(schemas: Mapping[str, SubgraphSchema]) -> FastAPI:
    """Serve each schema at `/<name>/graphql`, behind the viewer's signature."""
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


def add_health(app: FastAPI, checks: list[Check]) -> None:
    """`/healthz`: this process runs. `/readyz`: what it stands on answers too."""

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> Response:
        return PlainTextResponse("ok")

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> Response:
        for check in checks:
            try:
                await check()
            except Exception as error:  # whatever a driver raises means "not now"
                reason = f"{type(error).__name__} in {check.__module__}"
                return PlainTextResponse(reason, HTTP_503_SERVICE_UNAVAILABLE)
        return PlainTextResponse("ok")


async def answer_error(_request: Request, error: Exception) -> Response:
    """An expected error outside GraphQL, in the shape GraphQL clients read."""
    if not isinstance(error, ProofgraphError):
        raise error
    body = {"errors": [{"message": error.message, "extensions": {"code": error.code}}]}
    return JSONResponse(body, error.http_status)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    telemetry.configure()
    yield
    for dispose in (live.dispose, clickhouse.dispose, redis.dispose, db.dispose):
        await dispose()
