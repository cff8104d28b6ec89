"""What may go wrong and is expected to.

    ProofgraphError          extensions.code
    ├── Unauthenticated      UNAUTHENTICATED   no viewer, or a credential that is not valid
    ├── Forbidden            FORBIDDEN         a viewer whose role or scope does not reach
    ├── NotFound             NOT_FOUND         does not exist, or belongs to another tenant
    ├── BadUserInput         BAD_USER_INPUT    the request itself is wrong
    ├── Conflict             CONFLICT          it clashes with what is there
    ├── RateLimited          RATE_LIMITED      too many, try later
    ├── PlanLimit            PLAN_LIMIT        the site's plan does not include it
    └── Unavailable          UNAVAILABLE       it cannot be said just now, try again

A statement that PostgreSQL cut off is `UNAVAILABLE`. Everything else is a fault of ours: the client
sees `INTERNAL` with an id that stands in the log.
"""


class ProofgraphError(Exception):
    """An expected error: its message is meant for the caller and says how to mend it."""

    code = "INTERNAL"
    http_status = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Unauthenticated(ProofgraphError):
    code = "UNAUTHENTICATED"
    http_status = 401


class Forbidden(ProofgraphError):
    code = "FORBIDDEN"
    http_status = 403


class NotFound(ProofgraphError):
    code = "NOT_FOUND"
    http_status = 404


class BadUserInput(ProofgraphError):
    code = "BAD_USER_INPUT"
    http_status = 400


class Conflict(ProofgraphError):
    code = "CONFLICT"
    http_status = 409


class RateLimited(ProofgraphError):
    code = "RATE_LIMITED"
    http_status = 429


class PlanLimit(ProofgraphError):
    code = "PLAN_LIMIT"
    http_status = 402


class Unavailable(ProofgraphError):
    code = "UNAVAILABLE"
    http_status = 503
