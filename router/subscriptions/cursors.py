"""Cursors of the live channel: Redis stream ids, `<milliseconds>-<sequence>`."""

Cursor = tuple[int, int]
"""(milliseconds, sequence), ordered as the channel orders them."""

_MAX_LENGTH = 40


def parse_cursor(text: str) -> Cursor:
    """Returns a cursor's numbers.

    Raises:
        ValueError: the text is not a cursor.
    """
    milliseconds, _, sequence = text.partition("-")
    digits = text.isascii() and milliseconds.isdecimal() and sequence.isdecimal()
    if not (digits and len(text) <= _MAX_LENGTH):
        raise ValueError(text)
    return int(milliseconds), int(sequence)


def format_cursor(cursor: Cursor) -> str:
    """Returns a cursor as the channel writes it."""
    return f"{cursor[0]}-{cursor[1]}"
