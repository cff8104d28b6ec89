"""Errors of the engine with ClickHouse's code and HTTP status."""

import re

_MESSAGE = re.compile(r"Code: (\d+)\. (.*)", re.DOTALL)

_UNKNOWN_CODE = 1002
"""UNKNOWN_EXCEPTION, which ClickHouse uses for errors without a code of their own."""

# ClickHouse's own mapping; every other code is 500.
_STATUS_OF_CODES = {
    400: {27, 6, 26, 38, 41, 43, 53, 62, 69, 72, 130, 131, 190, 321, 386, 456, 457, 636},
    403: {192, 193, 497, 516},
    404: {16, 46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 336},
    413: {241, 307, 396},
    501: {48},
}


class EngineError(Exception):
    """A statement failed.

    Attributes:
        code: ClickHouse's error code, such as 60 for an unknown table.
        status: the HTTP status of the response.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"Code: {code}. DB::Exception: {message}")
        self.code = code
        self.status = next((s for s, codes in _STATUS_OF_CODES.items() if code in codes), 500)

    @classmethod
    def of(cls, error: Exception) -> "EngineError":
        """An EngineError with the code and message in the text of an error of chdb."""
        found = _MESSAGE.search(str(error))
        if found is None:
            return cls(_UNKNOWN_CODE, str(error))
        return cls(int(found[1]), found[2].removeprefix("DB::Exception: "))
