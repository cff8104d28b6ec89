"""Health checks and error responses of every HTTP service."""

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.status import HTTP_503_SERVICE_UNAVAILABLE

from subgraphs.kernel.errors import ProofgraphError

Check = Callable[[], Awaitable[None]]


def add_health(app: Starlette, checks: list[Check]) -> None:
    """Add `/healthz` (the process runs) and `/readyz` (its stores answer; 503 otherwise)."""

    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(_request: Request) -> Response:
        for check in checks:
            try:
                await check()
            except Exception as error:  # whatever the driver raised, the store is unavailable
                reason = f"{type(error).__name__} in {check.__module__}"
                return PlainTextResponse(reason, HTTP_503_SERVICE_UNAVAILABLE)
        return PlainTextResponse("ok")

    app.router.add_route("/healthz", healthz, methods=["GET"], include_in_schema=False)
    app.router.add_route("/readyz", readyz, methods=["GET"], include_in_schema=False)


async def answer_error(_request: Request, error: Exception) -> Response:
    """Convert an expected error outside GraphQL to GraphQL's response format."""
    if not isinstance(error, ProofgraphError):
        raise error
    return error_response(error)


def error_response(error: ProofgraphError) -> Response:
    """The response of an expected error, in GraphQL's response format."""
    body = {"errors": [{"message": error.message, "extensions": {"code": error.code}}]}
    return JSONResponse(body, error.http_status)
