"""Expected errors, each with its code for the client and its HTTP status.

    ProofgraphError          extensions.code
    ├── Unauthenticated      UNAUTHENTICATED   no credential, or an invalid one
    ├── Forbidden            FORBIDDEN         the viewer's role or scope is too low
    ├── NotFound             NOT_FOUND         does not exist, or belongs to another tenant
    ├── BadUserInput         BAD_USER_INPUT    the request is invalid
    ├── Conflict             CONFLICT          the request conflicts with the current state
    ├── RateLimited          RATE_LIMITED      too many requests; retry later
    ├── PlanLimit            PLAN_LIMIT        the site's plan does not include the feature
    └── Unavailable          UNAVAILABLE       a store does not respond; retry

A statement that PostgreSQL cancelled at its time limit is `UNAVAILABLE`. Every other exception is a
bug: the client gets `INTERNAL` with an id, and the log has the exception under this id.
"""


class ProofgraphError(Exception):
    """An expected error. Its message is shown to the client and says how to correct the request."""

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
