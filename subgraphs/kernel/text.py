"""Untrusted text, made fit for one line on a page. It stays data: nothing is parsed or escaped."""

import unicodedata

_JOINERS = "\u200c\u200d"
"""Persian spelling and emoji families need them; every other format character can only deceive."""

_BLANKS = dict.fromkeys(map(ord, "\u115f\u1160\u2800\u3164\uffa0"))
"""Letters and signs that show nothing."""


def one_line(text: str, *, max_length: int) -> str:
    """Drop control and format characters and lone surrogates, collapse whitespace, shorten.

    >>> one_line("Blue \\u202e\\n Shoes\\x00 ", max_length=10)
    'Blue Shoes'
    >>> one_line("Blue Suede Shoes", max_length=11)
    'Blue Suede…'
    """
    spaced = " ".join(text.split())
    kept = "".join(filter(_may_show, spaced)).translate(_BLANKS)
    line = " ".join(unicodedata.normalize("NFC", kept).split()).strip(_JOINERS + " ")
    if len(line) <= max_length:
        return line
    return line[: max_length - 1].rstrip() + "…"


def can_be_stored(text: str) -> bool:
    """Whether PostgreSQL's text can hold it: no NUL, no lone surrogate."""
    return not any(char == "\x00" or "\ud800" <= char <= "\udfff" for char in text)


def _may_show(char: str) -> bool:
    return char in _JOINERS or unicodedata.category(char) not in ("Cc", "Cf", "Co", "Cs")
