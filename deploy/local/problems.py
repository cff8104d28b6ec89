"""The error that the local stack shows to the person at the terminal."""


class Problem(Exception):
    """A condition that a person can mend. The message says what is wrong and what to do.

    Attributes:
        exit_code: 2 if the machine or a setting is not as it must be, 1 if a process failed.
    """

    def __init__(self, message: str, *, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code
