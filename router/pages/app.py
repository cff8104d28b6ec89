"""The pages app serves what `snippet/build.mjs` built: the snippet, the demo pages, GraphiQL.

Each section has its own headers: any origin may load the snippet, the others only their own.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from anyio import to_thread
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.status import HTTP_404_NOT_FOUND, HTTP_503_SERVICE_UNAVAILABLE
from starlette.types import ASGIApp, Message, Receive, Scope, Send

DIST = Path(__file__).parents[2] / "snippet" / "dist"
"""The folder that the build writes."""

_ENTRIES = ("snippet/proofgraph.js", "demo/shop.html", "demo/dashboard.html", "graphiql/index.html")
"""Files without which a section does not work."""

_CONTENT_POLICY = (
    "default-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

_ALL_SECTIONS = {"X-Content-Type-Options": "nosniff"}

_SNIPPET = {
    # The address never changes, so five minutes bound how long a shop runs an old snippet.
    # A browser uses its copy meanwhile and never waits for the new one.
    "Cache-Control": "public, max-age=300, stale-while-revalidate=86400",
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
}

PAGE_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": _CONTENT_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "strict-origin-when-cross-origin",
}

_GRAPHIQL = {
    **PAGE_HEADERS,
    # Monaco writes style elements and attributes; its icons are a font of the bundle.
    "Content-Security-Policy": f"{_CONTENT_POLICY}; style-src 'self' 'unsafe-inline'; "
    "font-src 'self' data:; worker-src 'self' blob:",
}


def create_app(dist: Path = DIST) -> Starlette:
    """The app on the files in `dist`."""

    async def readyz(request: Request) -> Response:
        missing = [name for name in _ENTRIES if not (dist / name).is_file()]
        if missing:
            reason = f"{', '.join(missing)} not built: run `npm run build` in snippet/"
            return PlainTextResponse(reason, HTTP_503_SERVICE_UNAVAILABLE)
        return PlainTextResponse("ok")

    graphiql = Files(dist / "graphiql")

    async def graphiql_page(request: Request) -> Response:
        # The Mount below redirects /graphiql to /graphiql/; this answers both at once.
        page = await graphiql.get_response("index.html", request.scope)
        page.headers.update(_GRAPHIQL)
        return page

    routes: list[BaseRoute] = [
        Route("/healthz", _healthz),
        Route("/readyz", readyz),
        Mount("/snippet", Headers(Files(dist / "snippet"), _SNIPPET)),
        Route("/demo", _to_shop),
        Route("/demo/", _to_shop),
        Mount("/demo", Headers(Files(dist / "demo"), PAGE_HEADERS)),
        Route("/graphiql", graphiql_page),
        Route("/graphiql/", graphiql_page),
        Mount("/graphiql", Headers(graphiql, _GRAPHIQL)),
    ]
    return Starlette(
        routes=routes,
        middleware=[
            Middleware(Headers, headers=_ALL_SECTIONS),
            Middleware(GZipMiddleware, minimum_size=500),
        ],
        exception_handlers={HTTPException: _answer_error},
    )


class Files(StaticFiles):
    """Files of a folder. Before the build it answers 404, and /readyz says why."""

    def __init__(self, folder: Path) -> None:
        super().__init__(directory=folder, check_dir=False)

    async def check_config(self) -> None:
        pass

    async def get_response(self, path: str, scope: Scope) -> Response:
        # A POST to a path without a file is 404, not 405: nothing is there for any method.
        if scope["method"] not in ("GET", "HEAD"):
            _, found = await to_thread.run_sync(self.lookup_path, path)
            if found is None:
                raise HTTPException(HTTP_404_NOT_FOUND)
        return await super().get_response(path, scope)


class Headers:
    """Adds headers to every response that has none of that name."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str]) -> None:
        self._app = app
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


async def _healthz(request: Request) -> Response:
    return PlainTextResponse("ok")


async def _to_shop(request: Request) -> Response:
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"/demo/shop.html{query}")


async def _answer_error(request: Request, error: Exception) -> Response:
    error = cast(HTTPException, error)
    code = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}.get(error.status_code, "INTERNAL")
    body = {"error": {"code": code, "message": error.detail}}
    return JSONResponse(body, error.status_code, error.headers)


app = create_app()
