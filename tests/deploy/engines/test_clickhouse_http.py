"""The ClickHouse HTTP server, with the client that every process uses and its default options."""

import asyncio
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import clickhouse_connect
import httpx
import pytest
from clickhouse_connect.driver import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from clickhouse_connect.driver.external import ExternalData

from deploy.local.stack.state import ROOT

TABLE = """
CREATE TABLE seen (
    number UInt32,
    text   String,
    moment DateTime64(3, 'UTC'),
    id     UUID,
    kind   LowCardinality(String),
    claim  Nullable(UUID)
) ENGINE = MergeTree ORDER BY number"""

UNKNOWN_SESSION = "372"

COLUMNS = ["number", "text", "moment", "id", "kind", "claim"]


class Server:
    """A ClickHouse HTTP server that can be killed and started again."""

    def __init__(self, data: Path) -> None:
        self.data = data
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.process = self._start()

    def client(self, **options: Any) -> Client:
        return clickhouse_connect.get_client(host="127.0.0.1", port=self.port, **options)

    def restart(self, number: signal.Signals) -> int:
        """Send a signal, wait for the end, start the server again; returns the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(10)
        self.process = self._start()
        return code

    def _start(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "deploy.local.engines.clickhouse"]
        arguments = ["--port", str(self.port), "--data", str(self.data)]
        process = subprocess.Popen([*command, *arguments], cwd=ROOT, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"http://127.0.0.1:{self.port}/ping").text == "Ok.\n":
                    return process
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError("the ClickHouse HTTP server did not start")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("clickhouse"))
    yield server
    server.process.kill()
    server.process.wait()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    client = server.client()
    client.command("DROP DATABASE IF EXISTS shop")
    client.command("CREATE DATABASE shop")
    client.database = "shop"
    client.command(TABLE)
    yield client
    client.close()


def moment(number: int) -> datetime:
    return datetime(2026, 11, 2, 8, tzinfo=UTC) + timedelta(milliseconds=number)


def rows(count: int) -> list[list[object]]:
    return [[n, f"row\n\n{n}", moment(n), UUID(int=n), "a" * (n % 3), None] for n in range(count)]


def test_rows_come_back_as_they_were_inserted(client: Client) -> None:
    summary = client.insert("seen", rows(50_000), column_names=COLUMNS)

    assert summary.written_rows == 50_000
    # 2570 is 0x0A0A: an empty line, to whoever takes the block for text.
    found = client.query("SELECT * FROM seen WHERE number IN (0, 2570, 49999) ORDER BY number")
    assert [list(row) for row in found.result_rows] == [
        [n, f"row\n\n{n}", moment(n).replace(tzinfo=None), UUID(int=n), kind, None]
        for n, kind in ((0, ""), (2570, "aa"), (49_999, "a"))
    ]
    assert client.command("SELECT count(), sum(number) FROM seen") == ["50000", "1249975000"]


@pytest.mark.parametrize("encoding", [False, True, "lz4", "zstd", "gzip"])
def test_inserts_and_results_in_every_encoding(
    server: Server, client: Client, encoding: bool | str
) -> None:
    other = server.client(compress=encoding, database="shop")

    assert other.insert("seen", rows(3_000), column_names=COLUMNS).written_rows == 3_000
    assert other.query("SELECT sum(number) FROM seen").result_rows == [(4_498_500,)]
    other.close()


@pytest.mark.parametrize("text", ["plain", "it's", "tab\tline\nempty\n\nend", "back\\slash", "ü🙂"])
def test_parameters_arrive_as_they_were_given(client: Client, text: str) -> None:
    found = client.query(
        "SELECT {text:String} AS text, {many:Array(String)} AS many, {n:UInt64} + 1 AS n",
        parameters={"text": text, "many": [text, "b"], "n": 41},
    )

    assert found.first_row == (text, [text, "b"], 42)


def test_a_setting_applies_to_its_request_alone(client: Client) -> None:
    query = "SELECT getSetting('max_block_size')"
    before = client.query(query).first_row

    assert client.query(query, settings={"max_block_size": 1234}).first_row == (1234,)
    assert client.query(query).first_row == before
    client.command("SET max_block_size = 99")
    assert client.query(query, settings={"max_block_size": 1234}).first_row == (1234,)
    assert client.query(query).first_row == (99,)


def test_a_session_keeps_its_settings(server: Server, client: Client) -> None:
    client.command("CREATE TEMPORARY TABLE mine (n UInt8)")
    client.insert("mine", [[1], [2]], column_names=["n"])
    other = server.client(database="shop")

    assert client.command("SELECT sum(n) FROM mine") == 3
    with pytest.raises(DatabaseError, match="UNKNOWN_TABLE"):
        other.query("SELECT * FROM mine")
    other.close()


def test_the_summary_counts_the_rows_read(client: Client) -> None:
    client.insert("seen", rows(100), column_names=COLUMNS)

    found = client.query("SELECT number FROM seen WHERE number < 10")

    assert found.summary["read_rows"] == "100"
    assert found.summary["result_rows"] == "10"
    assert UUID(found.query_id or "").version == 4


@pytest.mark.parametrize(
    ("statement", "code", "status"),
    [
        ("SELECT * FROM nothing", 60, 404),
        ("SELECT missing FROM seen", 47, 404),
        ("SELEC 1", 62, 400),
        ("SELECT throwIf(1, 'on purpose')", 395, 500),
        ("SELECT 1; SELECT 2", 62, 400),
        ('INSERT INTO seen (number) FORMAT JSONEachRow {"number": "x"}', 27, 400),
        ("SELECT * FROM system.one SETTINGS no_such_setting = 1", 115, 404),
    ],
)
def test_errors_have_the_server_s_code_and_status(
    server: Server, client: Client, statement: str, code: int, status: int
) -> None:
    answer = httpx.post(f"http://127.0.0.1:{server.port}/?database=shop", content=statement)

    assert answer.status_code == status
    assert answer.headers["X-ClickHouse-Exception-Code"] == str(code)
    assert answer.text.startswith(f"Code: {code}. DB::Exception: ")


def test_the_client_reads_the_error(client: Client) -> None:
    with pytest.raises(DatabaseError, match="on purpose") as caught:
        client.query("SELECT throwIf(1, 'on purpose')")

    assert caught.value.code == 395
    assert client.command("SELECT 1") == 1


@pytest.mark.parametrize(
    ("clause", "body"),
    [
        ("FORMAT JSONEachRow", b'{"n":1,"s":"x"}\n'),
        ("FORMAT CSVWithNames", b'"n","s"\n1,"x"\n'),
        ("", b"1\tx\n"),
    ],
)
def test_results_in_any_format_of_the_engine(client: Client, clause: str, body: bytes) -> None:
    assert client.raw_query(f"SELECT 1 AS n, 'x' AS s {clause}") == body


def test_inserts_as_text(client: Client) -> None:
    lines = b'{"number":1,"text":"a\\n\\nb"}\n\n{"number":2570,"text":"c"}\n'

    written = client.raw_insert("seen", ["number", "text"], lines, fmt="JSONEachRow")
    client.command("INSERT INTO seen (number, text) VALUES (3, 'd\n\ne'), (2 + 2, 'f')")
    client.command("INSERT INTO seen (number, text) SELECT number + 10, 'g' FROM numbers(2)")

    assert written.written_rows == 2
    found = client.query("SELECT number, text FROM seen ORDER BY number").result_rows
    expected = [(1, "a\n\nb"), (3, "d\n\ne"), (4, "f"), (10, "g"), (11, "g"), (2570, "c")]
    assert [tuple(row) for row in found] == expected


def test_a_request_may_bring_a_table(client: Client) -> None:
    table = ExternalData(file_name="ids", data=b"1\n2\n", fmt="CSV", structure=["n UInt32"])

    for _ in range(2):  # in one session, which drops it in between
        assert client.query("SELECT sum(n) FROM ids", external_data=table).first_row == (3,)


async def test_requests_run_in_parallel(server: Server) -> None:
    client = await clickhouse_connect.get_async_client(
        dsn=f"http://user:password@127.0.0.1:{server.port}/", autogenerate_session_id=False
    )
    started = time.monotonic()

    await asyncio.gather(*(client.query("SELECT sleep(0.5)") for _ in range(6)))

    assert time.monotonic() - started < 2.0
    await client.close()


def test_a_busy_session_refuses_a_second_request(server: Server) -> None:
    url = f"http://127.0.0.1:{server.port}/?session_id=busy"
    with subprocess.Popen(["curl", "-s", url, "-d", "SELECT sleep(2)"]) as first:
        code = UNKNOWN_SESSION
        while code == UNKNOWN_SESSION:  # until the first has it
            answer = httpx.post(f"{url}&session_check=1", content="SELECT 1")
            code = answer.headers["X-ClickHouse-Exception-Code"]
        assert first.wait() == 0

    assert code == "373"
    assert httpx.post(url, content="SELECT 1").text == "1\n"


@pytest.mark.parametrize("header", [{"Origin": "https://evil.example"}, {"Host": "evil.example"}])
def test_requests_from_web_pages_are_refused(server: Server, header: dict[str, str]) -> None:
    answer = httpx.post(f"http://127.0.0.1:{server.port}/", content="SELECT 1", headers=header)

    assert answer.status_code in (400, 403)
    assert "1\n" not in answer.text


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_acknowledged_inserts_survive_the_end_of_the_server(
    server: Server, client: Client, number: signal.Signals
) -> None:
    client.insert("seen", rows(20_000), column_names=COLUMNS)

    code = server.restart(number)

    assert code == -number
    after = server.client(database="shop")
    assert after.command("SELECT count(), sum(number) FROM seen") == ["20000", "199990000"]
    assert after.insert("seen", rows(10), column_names=COLUMNS).written_rows == 10
    after.close()
