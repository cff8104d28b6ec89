"""Where a statement ends and its data begins."""

import pytest

from deploy.local.engines.clickhouse.errors import EngineError
from deploy.local.engines.clickhouse.statement import Statement, parse


@pytest.mark.parametrize(
    ("text", "head", "name", "data"),
    [
        (b"INSERT INTO t FORMAT Native\n\n\x02\n\n", b"INSERT INTO t ", "Native", b"\n\x02\n\n"),
        (b"insert into t (a, b) format CSV 1,2", b"insert into t (a, b) ", "CSV", b"1,2"),
        (b"INSERT INTO `FORMAT x` VALUES (1)", b"INSERT INTO `FORMAT x` ", "Values", b" (1)"),
        (
            b"/* FORMAT a */ INSERT INTO t -- FORMAT b\n SETTINGS a = 'FORMAT c' FORMAT TSV\r\n1",
            b"/* FORMAT a */ INSERT INTO t -- FORMAT b\n SETTINGS a = 'FORMAT c' ",
            "TSV",
            b"1",
        ),
    ],
)
def test_an_insert_with_data(text: bytes, head: bytes, name: str, data: bytes) -> None:
    assert parse(text) == Statement(head, name, data, returns_rows=False)


@pytest.mark.parametrize(
    ("text", "name", "returns_rows"),
    [
        (b"SELECT 'FORMAT CSV', '\\' FORMAT CSV'", None, True),
        (b"SELECT 1\n FORMAT Native", "Native", True),
        (b"WITH (SELECT 1) AS x SELECT x FORMAT JSON; -- done", "JSON", True),
        (b"(SELECT format FROM t)", None, True),
        (b"INSERT INTO t SELECT 1 FORMAT Null", None, False),
        (b"CREATE TABLE t (a String DEFAULT ';') ENGINE = Memory", None, False),
    ],
)
def test_a_statement_without_data(text: bytes, name: str | None, returns_rows: bool) -> None:
    assert parse(text) == Statement(text, name, None, returns_rows)


@pytest.mark.parametrize(
    "text", [b"", b" -- nothing", b"SELECT 1; SELECT 2", b"INSERT INTO t FORMAT"]
)
def test_refused_statements(text: bytes) -> None:
    with pytest.raises(EngineError) as caught:
        parse(text)

    assert (caught.value.code, caught.value.status) == (62, 400)
