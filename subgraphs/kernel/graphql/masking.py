"""Error masking: expected errors keep their message, others become an id that is in the log."""

from uuid import uuid4

import structlog
from graphql import GraphQLError

from subgraphs.kernel.errors import ProofgraphError
from subgraphs.kernel.retry import took_too_long

log = structlog.stdlib.get_logger(__name__)

_INTERNAL = "Internal error; report its `errorId` to support."

_TOO_LONG = "The query takes too long: request a shorter time range or a smaller page."


def to_graphql_error(error: GraphQLError) -> GraphQLError:
    """Add a code to an expected or document error; mask every other error.

    Args:
        error: an error of the execution; `original_error` is None for syntax and validation.
    """
    if "code" in (error.extensions or {}):
        return error
    original = error.original_error
    while isinstance(original, GraphQLError):
        original = original.original_error
    if original is None:
        code, message = "BAD_USER_INPUT", error.message
    elif isinstance(original, ProofgraphError):
        code, message = original.code, original.message
    elif took_too_long(original):
        log.warning("statement_timeout", path=str(error.path))
        code, message = "UNAVAILABLE", _TOO_LONG
    else:
        error_id = uuid4().hex
        log.error("internal_error", id=error_id, path=str(error.path), exc_info=original)
        return _rebuilt(error, _INTERNAL, "INTERNAL", error_id)
    return _rebuilt(error, message, code, None)


def _rebuilt(error: GraphQLError, message: str, code: str, error_id: str | None) -> GraphQLError:
    extensions = {**(error.extensions or {}), "code": code}
    if error_id:
        extensions["errorId"] = error_id
    return GraphQLError(
        message,
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        extensions=extensions,
    )
