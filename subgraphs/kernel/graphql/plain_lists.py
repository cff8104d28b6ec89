"""Completes lists of plain objects in one pass, with the result of graphql-core.

graphql-core resolves every field of every item through the same dozen calls: 2,160 points of a
chart with eight values each take 95 ms. Where all selected fields of a list's items are attributes
(Strawberry's basic fields: no resolver, no permission, no argument), the list is completed field by
field instead of item by item, mostly inside C: 8 ms.

Reading attributes has no effect. So if it fails, or finds a null that the schema forbids,
graphql-core completes the list from the start and reports the error as ever.
"""

from collections.abc import Callable
from itertools import chain, islice, repeat
from operator import attrgetter, is_
from typing import Any, TypeAlias

from graphql import (
    GraphQLField,
    GraphQLLeafType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    Undefined,
    is_leaf_type,
)
from graphql.pyutils import AwaitableOrValue, Path
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.schema.schema_converter import GraphQLCoreConverter

Complete: TypeAlias = Callable[[list[Any]], list[Any]]
"""Turns values of one field, one for each item, into their parts of the response."""


class NotPlain(Exception):
    """The selection or a value needs graphql-core."""


class PlainListExecutor(StrawberryGraphQLCoreExecutionContext):
    """graphql-core's executor with a short cut for lists of plain objects."""

    def complete_list_value(
        self,
        return_type: GraphQLList[GraphQLOutputType],
        field_details_list: Any,
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position_context: Any,
    ) -> AwaitableOrValue[list[Any]]:
        if isinstance(result, list) and result and not self._has_middleware():
            try:
                return self._of_type(return_type.of_type, field_details_list)(result)
            except Exception:  # noqa: S110  # graphql-core finds the error again and reports it
                pass
        return super().complete_list_value(
            return_type, field_details_list, info, path, result, position_context
        )

    def _has_middleware(self) -> bool:
        manager = self.middleware_manager
        return bool(manager and manager.middlewares)

    def _of_type(self, type_: GraphQLOutputType, field_details_list: Any) -> Complete:
        """
        Raises:
            NotPlain: a selected field is not an attribute, or its type is abstract.
        """
        if isinstance(type_, GraphQLNonNull):
            return _required(self._of_nullable(type_.of_type, field_details_list))
        return _optional(self._of_nullable(type_, field_details_list))

    def _of_nullable(self, type_: GraphQLOutputType, field_details_list: Any) -> Complete:
        """Like `_of_type`, for values that are not None."""
        if isinstance(type_, GraphQLList):
            return _lists(self._of_type(type_.of_type, field_details_list))
        if is_leaf_type(type_):
            return _leaves(type_)
        if isinstance(type_, GraphQLObjectType) and type_.is_type_of is None:
            return self._objects(type_, field_details_list)
        raise NotPlain

    def _objects(self, type_: GraphQLObjectType, field_details_list: Any) -> Complete:
        grouped, defers, _ = self.collect_subfields(type_, field_details_list)
        if defers:
            raise NotPlain
        if not grouped:
            raise NotPlain
        fields = [self._field(type_, details) for details in grouped.values()]

        def complete(values: list[Any]) -> list[Any]:
            columns = [complete(values) for complete in fields]
            return [dict(zip(grouped, row, strict=False)) for row in zip(*columns, strict=True)]

        return complete

    def _field(self, type_: GraphQLObjectType, details: Any) -> Complete:
        """One field of objects, from the objects."""
        name = details[0].node.name.value
        if name == "__typename":
            return lambda values: [type_.name] * len(values)
        definition = self.schema.get_field(type_, name)
        if definition is None:
            raise NotPlain
        read = attrgetter(_attribute_of(definition))
        complete = self._of_type(definition.type, details)
        return lambda values: complete(list(map(read, values)))


def _attribute_of(definition: GraphQLField) -> str:
    if definition.args or not getattr(definition.resolve, "_is_default", False):
        raise NotPlain
    field = definition.extensions[GraphQLCoreConverter.DEFINITION_BACKREF]
    if field.default_resolver is not getattr:
        raise NotPlain
    return str(field.python_name)


def _leaves(type_: GraphQLLeafType) -> Complete:
    coerce = type_.coerce_output_value

    def complete(values: list[Any]) -> list[Any]:
        completed = list(map(coerce, values))
        if None in completed or any(map(is_, completed, repeat(Undefined))):
            raise NotPlain
        return completed

    return complete


def _lists(complete_items: Complete) -> Complete:
    def complete(values: list[Any]) -> list[Any]:
        if not all(isinstance(value, list) for value in values):
            raise NotPlain
        items = iter(complete_items(list(chain.from_iterable(values))))
        return [list(islice(items, len(value))) for value in values]

    return complete


def _required(complete: Complete) -> Complete:
    def complete_all(values: list[Any]) -> list[Any]:
        if any(map(is_, values, repeat(None))):
            raise NotPlain
        return complete(values)

    return complete_all


def _optional(complete: Complete) -> Complete:
    def complete_present(values: list[Any]) -> list[Any]:
        if not any(map(is_, values, repeat(None))):
            return complete(values)
        present = [value for value in values if value is not None]
        completed = iter(complete(present))
        return [None if value is None else next(completed) for value in values]

    return complete_present
