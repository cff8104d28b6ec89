"""The HTTP server: turns requests into statements, and results into responses."""

import json
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from deploy.local.engines.clickhouse.encodings import decode
from deploy.local.engines.clickhouse.engine import Engine, ExternalTable, Request, Result
from deploy.local.engines.clickhouse.errors import EngineError
from deploy.local.engines.clickhouse.memory import release_start_up_code
from deploy.local.engines.clickhouse.statement import Statement, parse

_NOT_IMPLEMENTED = 48
_INCORRECT_DATA = 117

_REQUEST_ARGUMENTS = {
    "client_protocol_version",
    "close_session",
    "compress",
    "database",
    "decompress",
    "default_format",
    "password",
    "query",
    "query_id",
    "quota_key",
    "role",
    "session_check",
    "session_id",
    "session_timeout",
    "stacktrace",
    "user",
    "wait_end_of_query",
    "buffer_size",
}
"""Arguments of the HTTP interface; other arguments are parameters or settings of the engine."""

_MEDIA_TYPES = {
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "Native": "application/octet-stream",
}


def create_app(folder: Path) -> Starlette:
    """An application that serves the engine on a data folder."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.engine = await run_in_threadpool(Engine, folder)
        release_start_up_code()
        yield
        await run_in_threadpool(app.state.engine.close)

    return Starlette(
        routes=[
            Route("/ping", _ping),
            Route("/", _query, methods=["GET", "POST"]),
        ],
        # Another host name comes from a web page that attacks this port by DNS rebinding.
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])],
        lifespan=lifespan,
    )


async def _ping(request: HttpRequest) -> Response:
    return PlainTextResponse("Ok.\n")


async def _query(request: HttpRequest) -> Response:
    if "origin" in request.headers:
        return PlainTextResponse("Requests from web pages are not allowed.\n", 403)
    query_id = request.query_params.get("query_id") or str(uuid.uuid4())
    headers = {"X-ClickHouse-Query-Id": query_id, "X-ClickHouse-Timezone": "UTC"}
    try:
        text, arguments, external = await _read(request)
        if not text.strip() and request.method == "GET":
            return PlainTextResponse("Ok.\n")
        statement = parse(text)
        header = request.headers.get("x-clickhouse-format", "TabSeparated")
        default_format = arguments.get("default_format") or header
        engine_request = _request(statement, default_format, arguments, external)
        result = await run_in_threadpool(request.app.state.engine.run, engine_request)
    except EngineError as error:
        headers["X-ClickHouse-Exception-Code"] = str(error.code)
        return PlainTextResponse(f"{error}\n", error.status, headers=headers)
    return _response(result, statement, engine_request.default_format, headers)


async def _read(
    request: HttpRequest,
) -> tuple[bytes, dict[str, str], tuple[ExternalTable, ...]]:
    """The text with the statement and its data, the arguments, and the external tables."""
    arguments = dict(request.query_params)
    external: tuple[ExternalTable, ...] = ()
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        form = await request.form(max_part_size=64 * 1024 * 1024)
        files = {name: part for name, part in form.items() if not isinstance(part, str)}
        arguments.update({name: part for name, part in form.items() if isinstance(part, str)})
        external = tuple([_table(n, await f.read(), arguments) for n, f in files.items()])
        body = b""
    else:
        try:
            body = decode(await request.body(), request.headers.get("content-encoding", ""))
        except NotImplementedError as error:
            raise EngineError(_NOT_IMPLEMENTED, str(error)) from error
        except Exception as error:  # each library raises its own error for corrupt bytes
            raise EngineError(_INCORRECT_DATA, f"Cannot decompress: {error}") from error
    if arguments.get("compress") == "1" or arguments.get("decompress") == "1":
        raise EngineError(_NOT_IMPLEMENTED, "Native compression over HTTP; use Content-Encoding")
    query = arguments.get("query", "").encode()
    return b"\n".join(part for part in (query, body) if part), arguments, external


def _table(name: str, data: bytes, arguments: Mapping[str, str]) -> ExternalTable:
    structure = arguments.get(f"{name}_structure") or ", ".join(
        f"_{number} {kind}"
        for number, kind in enumerate(arguments.get(f"{name}_types", "").split(","), start=1)
    )
    return ExternalTable(name, structure, arguments.get(f"{name}_format", "TabSeparated"), data)


def _request(
    statement: Statement,
    default_format: str,
    arguments: Mapping[str, str],
    external: tuple[ExternalTable, ...],
) -> Request:
    parts = ("structure", "types", "format")
    described = {f"{table.name}_{part}" for table in external for part in parts}
    parameters, settings = {}, {}
    for name, value in arguments.items():
        if name.startswith("param_"):
            parameters[name.removeprefix("param_")] = value
        elif name not in _REQUEST_ARGUMENTS and name not in described:
            settings[name] = value
    return Request(
        statement=statement,
        default_format=default_format,
        database=arguments.get("database", ""),
        parameters=parameters,
        settings=settings,
        external=external,
        session_id=arguments.get("session_id", ""),
        session_seconds=float(arguments.get("session_timeout") or 60),
        session_must_exist=arguments.get("session_check") == "1",
    )


def _response(
    result: Result, statement: Statement, default_format: str, headers: dict[str, str]
) -> Response:
    headers["X-ClickHouse-Summary"] = json.dumps(result.summary, separators=(",", ":"))
    media_type: Any = "text/plain; charset=UTF-8"
    if statement.returns_rows:
        format_name = statement.format or default_format
        headers["X-ClickHouse-Format"] = format_name
        media_type = _MEDIA_TYPES.get(format_name, media_type)
    return Response(result.body, headers=headers, media_type=media_type)
