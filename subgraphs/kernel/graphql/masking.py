"""Which errors a GraphQL client sees as they are, and which only as an id that is in the log."""

import logging
from uuid import uuid4

from graphql import GraphQLError

from subgraphs.kernel.errors import ProofgraphError
from subgraphs.kernel.retry import took_too_long

log = logging.getLogger(__name__)

_TOO_LONG = "This takes too long to find: ask for less, such as a shorter time or a smaller page."


def to_graphql_error(error: GraphQLError) -> GraphQLError:
    """Code an expected error, pass GraphQL's own about the document on, mask all else.

    Args:
        error: what execution collected; `original_error` is None for syntax and validation.
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
        log.warning("at %s: a statement took too long", error.path)
        code, message = "UNAVAILABLE", _TOO_LONG
    else:
        error_id = uuid4().hex
        log.error("masked error %s at %s", error_id, error.path, exc_info=original)
        return _rebuilt(error, "Something went wrong on our side.", "INTERNAL", error_id)
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
