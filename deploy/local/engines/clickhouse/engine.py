"""Runs statements on one data folder: sessions, settings of one statement, results.

Only one process may open a folder. Every request gets its own connection, so `USE`, `SET` and
temporary tables of one request do not affect another. Requests of one session share a connection.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from chdb.state.sqlitelike import Connection

from deploy.local.engines.clickhouse.errors import EngineError
from deploy.local.engines.clickhouse.statement import Statement

_SESSION_NOT_FOUND = 372
_SESSION_IS_LOCKED = 373


@dataclass(frozen=True)
class ExternalTable:
    """A temporary table that a request brings along."""

    name: str
    structure: str
    format: str
    data: bytes


@dataclass(frozen=True)
class Request:
    """A statement with its parameters, settings, tables and session."""

    statement: Statement
    default_format: str
    database: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    external: tuple[ExternalTable, ...] = ()
    session_id: str = ""
    session_seconds: float = 60
    session_must_exist: bool = False


class Result(NamedTuple):
    """The rows of a statement in its format, and the counts of ClickHouse's summary header."""

    body: bytes
    summary: dict[str, str]


class _Session:
    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.lock = Lock()
        self.expires = 0.0


class Engine:
    """Runs statements, from several threads at once.

    Args:
        folder: the folder of the databases; no other process may have it open.
    """

    def __init__(self, folder: Path) -> None:
        self._address = str(folder)
        self._first_connection = Connection(self._address)  # the engine ends with its last one
        self._sessions: dict[str, _Session] = {}
        self._lock = Lock()

    def close(self) -> None:
        for session in self._sessions.values():
            session.connection.close()
        self._first_connection.close()

    def run(self, request: Request) -> Result:
        """Run one statement.

        Raises:
            EngineError: the statement failed.
        """
        try:
            with self._connection(request) as connection:
                if request.database:
                    connection.query(f"USE {_name(request.database)}")
                for table in request.external:
                    _create(connection, table)
                with _settings(connection, request):
                    return _run(connection, request)
        except EngineError:
            raise
        except (RuntimeError, ValueError) as error:  # chdb raises RuntimeErrors
            raise EngineError.of(error) from error

    @contextmanager
    def _connection(self, request: Request) -> Iterator[Connection]:
        if not request.session_id:
            connection = Connection(self._address)
            try:
                yield connection
            finally:
                connection.close()
            return
        session = self._session(request)
        try:
            yield session.connection
            for table in request.external:
                session.connection.query(f"DROP TEMPORARY TABLE IF EXISTS {_name(table.name)}")
        finally:
            session.expires = time.monotonic() + request.session_seconds
            session.lock.release()

    def _session(self, request: Request) -> _Session:
        """The session of that name, locked for this request."""
        with self._lock:
            self._drop_expired()
            session = self._sessions.get(request.session_id)
            if session is None:
                if request.session_must_exist:
                    raise EngineError(_SESSION_NOT_FOUND, "Session not found")
                session = _Session(Connection(self._address))
                self._sessions[request.session_id] = session
            if not session.lock.acquire(blocking=False):
                message = f"Session {request.session_id} is locked by a concurrent client"
                raise EngineError(_SESSION_IS_LOCKED, message)
            return session

    def _drop_expired(self) -> None:
        now = time.monotonic()
        for name, session in list(self._sessions.items()):
            if session.expires < now and session.lock.acquire(blocking=False):
                session.connection.close()
                del self._sessions[name]


def _run(connection: Connection, request: Request) -> Result:
    statement = request.statement
    started = time.perf_counter_ns()
    if statement.data is not None:
        with connection.send_insert(statement.sql.decode(), statement.format or "Values") as insert:
            insert.append(statement.data)
            written = insert.finish()
        counts = {"written_rows": written.rows_written, "written_bytes": written.bytes_written}
        return Result(b"", _summary(started, counts))
    result: Any = connection.query(statement.sql.decode(), request.default_format)
    body = result.bytes() or b""
    counts = {
        "read_rows": result.storage_rows_read(),
        "read_bytes": result.storage_bytes_read(),
        "written_rows": result.rows_written(),
        "written_bytes": result.bytes_written(),
        "result_rows": result.rows_read(),
        "result_bytes": len(body),
    }
    return Result(body, _summary(started, counts))


def _summary(started: int, counts: Mapping[str, int]) -> dict[str, str]:
    names = ("read_rows", "read_bytes", "written_rows", "written_bytes", "total_rows_to_read")
    summary = {name: str(counts.get(name, 0)) for name in (*names, "result_rows", "result_bytes")}
    return {**summary, "elapsed_ns": str(time.perf_counter_ns() - started)}


def _create(connection: Connection, table: ExternalTable) -> None:
    connection.query(f"CREATE TEMPORARY TABLE {_name(table.name)} ({table.structure})")
    with connection.send_insert(f"INSERT INTO {_name(table.name)}", table.format) as insert:
        insert.append(table.data)
        insert.finish()


@contextmanager
def _settings(connection: Connection, request: Request) -> Iterator[None]:
    """Apply settings and parameters to one statement; restore those of the session afterwards."""
    values = dict(request.settings)
    values.update({f"param_{name}": value for name, value in request.parameters.items()})
    if not values:
        yield
        return
    before = _current(connection, request.settings) if request.session_id else {}
    _set(connection, {name: _text(value) for name, value in values.items()})
    try:
        yield
    finally:
        if before:
            _set(connection, before)


def _current(connection: Connection, names: Mapping[str, str]) -> dict[str, str]:
    if not names:
        return {}
    listed = ", ".join(_text(name) for name in names)
    query = f"SELECT name, value, changed FROM system.settings WHERE name IN ({listed})"  # noqa: S608
    rows = connection.query(query, "TabSeparatedRaw").bytes().decode().splitlines()
    found = (row.split("\t") for row in rows)
    return {name: _text(value) if changed == "1" else "DEFAULT" for name, value, changed in found}


def _set(connection: Connection, values: Mapping[str, str]) -> None:
    connection.query("SET " + ", ".join(f"{_name(name)} = {v}" for name, v in values.items()))


def _name(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
