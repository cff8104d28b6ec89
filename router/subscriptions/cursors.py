"""Cursors as the channel makes them, `<milliseconds>-<number>`, and as they sort."""

Cursor = tuple[int, int]

_LONGEST = 40


def as_cursor(text: str) -> Cursor:
    """A cursor as numbers, which sort as the channel does.

    Raises:
        ValueError: it is none.
    """
    milliseconds, _, number = text.partition("-")
    digits = text.isascii() and milliseconds.isdecimal() and number.isdecimal()
    if not (digits and len(text) <= _LONGEST):
        raise ValueError(text)
    return int(milliseconds), int(number)


def as_text(cursor: Cursor) -> str:
    return f"{cursor[0]}-{cursor[1]}"
