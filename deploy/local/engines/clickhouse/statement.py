"""Splits the text of a request into its statement, its format and its data."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from deploy.local.engines.clickhouse.errors import EngineError

_SYNTAX_ERROR = 62

_TOKEN = re.compile(
    rb"""
    (?P<blank> \s+ | --[^\n]* | /\*.*?\*/ )
  | (?P<quoted> '(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.)*" | `(?:[^`\\]|\\.)*` )
  | (?P<word> \w+ )
  | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)

_RETURNING_ROWS = {
    b"SELECT",
    b"WITH",
    b"FROM",
    b"SHOW",
    b"DESCRIBE",
    b"DESC",
    b"EXISTS",
    b"EXPLAIN",
    b"CHECK",
    b"KILL",
    b"(",
}
"""First words of the statements that return rows; all others return nothing."""


class Statement(NamedTuple):
    """A parsed statement.

    Attributes:
        sql: the statement; for an INSERT with data, the part before FORMAT or VALUES.
        format: the format that the statement names; None if it names none.
        data: the rows of an INSERT in `format`; None for other statements.
        returns_rows: whether the statement returns a result, even an empty one.
    """

    sql: bytes
    format: str | None
    data: bytes | None
    returns_rows: bool


class _Word(NamedTuple):
    text: bytes
    start: int
    end: int
    depth: int


def parse(text: bytes) -> Statement:
    """Split the text of a request.

    Data of an INSERT is separated, because the engine takes it through `send_insert`. Inline, it
    would read data only up to the first empty line, and binary data may contain one.

    Raises:
        EngineError: the text is empty, or has several statements as ClickHouse refuses over HTTP.
    """
    words = _words(text)
    first = next(words, None)
    if first is None:
        raise EngineError(_SYNTAX_ERROR, "Empty query")
    if first.text.upper() == b"INSERT":
        return _insert(text, words)
    return Statement(text, _last_format(words), None, first.text.upper() in _RETURNING_ROWS)


def _insert(text: bytes, words: Iterator[_Word]) -> Statement:
    for word in words:
        match word.text.upper() if word.depth == 0 else b"":
            case b"FORMAT":
                name = next(words, None)
                if name is None:
                    raise EngineError(_SYNTAX_ERROR, "INSERT ... FORMAT names no format")
                data = re.sub(rb"\A[ \t\f]*\r?\n?", b"", text[name.end :], count=1)
                return Statement(text[: word.start], name.text.decode(), data, False)
            case b"VALUES":
                return Statement(text[: word.start], "Values", text[word.end :], False)
            case b"SELECT" | b"WITH" | b"FROM":
                _last_format(words)
                return Statement(text, None, None, False)
    return Statement(text, None, None, False)


def _last_format(words: Iterator[_Word]) -> str | None:
    """The format that the statement names at its end.

    Raises:
        EngineError: another statement follows.
    """
    name, is_next = None, False
    for word in words:
        if word.depth == 0 and word.text == b";":
            if next(words, None) is not None:
                raise EngineError(_SYNTAX_ERROR, "Multi-statements are not allowed")
            break
        if is_next:
            name = word.text.decode(errors="replace")
        is_next = word.depth == 0 and word.text.upper() == b"FORMAT"
    return name


def _words(text: bytes) -> Iterator[_Word]:
    """The tokens without blanks and comments, each with its depth in brackets."""
    depth = 0
    for token in _TOKEN.finditer(text):
        if token.lastgroup == "blank":
            continue
        word = token.group()
        if word in (b")", b"]", b"}"):
            depth -= 1
        yield _Word(word, token.start(), token.end(), depth)
        if word in (b"(", b"[", b"{"):
            depth += 1
