"""Builds the schema of a subgraph: document cache, document limits and coded errors included."""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from inspect import isawaitable, signature
from typing import Any, cast

from graphql import GraphQLError
from graphql.execution import execute
from strawberry.execution.is_awaitable import optimized_is_awaitable
from strawberry.federation import Schema
from strawberry.federation.schema import FederationAny
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.name_converter import NameConverter
from strawberry.types import Info
from strawberry.types.execution import ExecutionContext, ExecutionResult
from strawberry.types.graphql import OperationType
from strawberry.utils.str_converters import to_camel_case

from subgraphs.kernel.graphql.documents import CheckedDocuments, Document, Documents
from subgraphs.kernel.graphql.masking import to_graphql_error
from subgraphs.kernel.graphql.plain_fields import PlainFieldsExecutor
from subgraphs.kernel.graphql.types import SCALARS


class SubgraphSchema(Schema):
    """A federated schema. Expected errors carry a code; all others are masked and logged."""

    def __init__(self, **options: Any) -> None:
        self._documents = Documents()
        super().__init__(**options, extensions=[lambda: CheckedDocuments(self._documents)])

    def process_errors(
        self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None
    ) -> None:
        # Changes the list in place. This is the one hook that sees syntax errors, limits, execution
        # and subscriptions alike; the MaskErrors extension misses errors before execution.
        errors[:] = [to_graphql_error(error) for error in errors]

    def entities_resolver(
        self, info: Info, representations: list[FederationAny]
    ) -> list[FederationAny]:
        """Resolve entities. Strawberry's own inspects `resolve_reference` for each of them."""
        return [self._entity(info, cast(dict[str, Any], it)) for it in representations]

    def _entity(self, info: Info, representation: dict[str, Any]) -> Any:
        key = dict(representation)
        definition = cast(Any, self.schema_converter.type_map[key.pop("__typename")].definition)
        resolve = getattr(definition.origin, "resolve_reference", None)
        if resolve is None:
            return super().entities_resolver(info, [cast(FederationAny, representation)])[0]
        if _takes_info(resolve.__func__):
            key["info"] = info
        try:
            return resolve(**key)
        except Exception as error:  # it belongs to this entity, not to all of them
            return error

    async def execute(  # noqa: PLR0917
        self,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        context_value: Any | None = None,
        root_value: Any | None = None,
        operation_name: str | None = None,
        allowed_operation_types: Iterable[OperationType] | None = None,
        operation_extensions: dict[str, Any] | None = None,
    ) -> ExecutionResult:
        """Execute a document.

        A known document with one operation goes straight to graphql-core. Strawberry's hooks would
        only find out again that it is valid, which takes a third of a small request.
        """
        known = self._documents.get(query) if query else None
        if known and known.has(operation_name) and known.is_one_of(allowed_operation_types):
            return await self._execute_known(known, variable_values, context_value, root_value)
        return await super().execute(
            query,
            variable_values,
            context_value,
            root_value,
            operation_name,
            allowed_operation_types,
            operation_extensions,
        )

    async def _execute_known(
        self, document: Document, variables: dict[str, Any] | None, context: Any, root_value: Any
    ) -> ExecutionResult:
        try:
            found = execute(
                self._schema,
                document.node,
                root_value=root_value,
                context_value=context,
                variable_values=variables,
                is_awaitable=optimized_is_awaitable,  # type: ignore[arg-type]  # as Strawberry does
                executor_class=PlainFieldsExecutor,
                reads=document.reads,
            )
            result = await found if isawaitable(found) else found
        except Exception as error:  # as Strawberry does: whatever it is, it becomes an error result
            errors = [GraphQLError(str(error), original_error=error)]
            self.process_errors(errors)
            return ExecutionResult(data=None, errors=errors)
        if result.errors:
            self.process_errors(result.errors)
        return ExecutionResult(data=result.data, errors=result.errors)


class _Names(NameConverter):
    """Remembers converted names: Strawberry converts every argument's name in every request."""

    def apply_naming_config(self, name: str) -> str:
        return _camel_case(name)


@lru_cache(maxsize=4096)
def _camel_case(name: str) -> str:
    return to_camel_case(name)


@lru_cache(maxsize=256)
def _takes_info(resolve_reference: Callable[..., Any]) -> bool:
    return "info" in signature(resolve_reference).parameters


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
    return SubgraphSchema(
        query=query,
        mutation=mutation,
        subscription=subscription,
        types=types,
        config=StrawberryConfig(scalar_map=SCALARS, name_converter=_Names()),
    )
