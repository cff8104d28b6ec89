"""Untrusted text, cleaned for one line on a page. Nothing is parsed or escaped."""

import unicodedata

_JOINERS = "\u200c\u200d"
"""Persian spelling and emoji families need them. Every other format character can only deceive."""

_BLANKS = dict.fromkeys(map(ord, "\u115f\u1160\u2800\u3164\uffa0"))
"""Letters and symbols without a visible glyph."""


def one_line(text: str, *, max_length: int) -> str:
    """The text without control characters, format characters and unpaired surrogates.

    White space is collapsed. A text longer than `max_length` ends in an ellipsis.

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
    """Whether PostgreSQL can store the text: it has no NUL and no unpaired surrogate."""
    return not any(char == "\x00" or "\ud800" <= char <= "\udfff" for char in text)


def _may_show(char: str) -> bool:
    return char in _JOINERS or unicodedata.category(char) not in ("Cc", "Cf", "Co", "Cs")
