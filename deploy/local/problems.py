"""What stands in the way of the local stack, said in one line: what it is and how to mend it."""


class Problem(Exception):
    """Something a person can mend.

    Attributes:
        exit_code: 2 where the machine is not as it must be, 1 where a part of ours failed.
    """

    def __init__(self, message: str, *, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code
