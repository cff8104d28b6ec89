"""Builds the schema of a subgraph: document caches, document limits and coded errors included."""

from collections.abc import Sequence
from typing import Any

from graphql import GraphQLError
from strawberry.extensions import (
    AddValidationRules,
    MaxTokensLimiter,
    ParserCache,
    ValidationCache,
)
from strawberry.federation import Schema
from strawberry.schema.config import StrawberryConfig
from strawberry.types.execution import ExecutionContext

from subgraphs.kernel.graphql.limits import MAX_TOKENS, DocumentLimitsRule
from subgraphs.kernel.graphql.masking import to_graphql_error
from subgraphs.kernel.graphql.types import SCALARS

# Without the two caches Strawberry parses and validates every request: twelve times slower.
_CACHED_DOCUMENTS = 512


class SubgraphSchema(Schema):
    """A federated schema. Expected errors carry a code; all others are masked and logged."""

    def process_errors(
        self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None
    ) -> None:
        # Changes the list in place. This is the one hook that sees syntax errors, limits, execution
        # and subscriptions alike; the MaskErrors extension misses errors before execution.
        errors[:] = [to_graphql_error(error) for error in errors]


def build_schema(
    *,
    query: type | None = None,
    mutation: type | None = None,
    subscription: type | None = None,
    types: Sequence[type] = (),
) -> SubgraphSchema:
    """Build the schema of a subgraph from its root types.

    Args:
        types: entities that no root type reaches, such as those this subgraph only extends.
    """
    options: dict[str, Any] = {"query": query, "mutation": mutation, "subscription": subscription}
    return SubgraphSchema(
        **options,
        types=types,
        config=StrawberryConfig(scalar_map=SCALARS),
        extensions=[
            lambda: ParserCache(maxsize=_CACHED_DOCUMENTS),
            lambda: ValidationCache(maxsize=_CACHED_DOCUMENTS),
            lambda: MaxTokensLimiter(max_token_count=MAX_TOKENS),
            lambda: AddValidationRules([DocumentLimitsRule]),
        ],
    )
