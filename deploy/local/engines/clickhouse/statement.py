"""What must be known of a statement before the engine sees it: does data follow, and how?"""

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

_ANSWERING = {
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
"""First words of statements that answer rows; all others answer nothing."""


class Statement(NamedTuple):
    """A statement, taken apart as far as the door must.

    Attributes:
        sql: the statement; of an INSERT with data, the part before FORMAT or VALUES.
        format: the one it names itself, if it does.
        data: what an INSERT brings along, in `format`; else None.
        answers: whether it has rows to answer, be it none.
    """

    sql: bytes
    format: str | None
    data: bytes | None
    answers: bool


class _Word(NamedTuple):
    text: bytes
    start: int
    end: int
    depth: int


def parse(text: bytes) -> Statement:
    """Take a request's text apart.

    The engine has a door of its own for data (`send_insert`): given inline, it reads data only up
    to the first empty line, and two of a number's bytes may well look like one.

    Raises:
        EngineError: there are several statements, which the server refuses over HTTP.
    """
    words = _words(text)
    first = next(words, None)
    if first is None:
        raise EngineError(_SYNTAX_ERROR, "Empty query")
    if first.text.upper() == b"INSERT":
        return _insert(text, words)
    named = _last_format(words)
    return Statement(text, named, None, first.text.upper() in _ANSWERING)


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
    """The format named at the end; the statement may have no second one after it."""
    named, wanted = None, False
    for word in words:
        if word.depth == 0 and word.text == b";":
            if next(words, None) is not None:
                raise EngineError(_SYNTAX_ERROR, "Multi-statements are not allowed")
            break
        if wanted:
            named = word.text.decode(errors="replace")
        wanted = word.depth == 0 and word.text.upper() == b"FORMAT"
    return named


def _words(text: bytes) -> Iterator[_Word]:
    """Everything but blanks and comments, with the depth of brackets around it."""
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
