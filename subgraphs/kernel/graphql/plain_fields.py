"""Reads plain fields without the machinery of a resolver.

A plain field is an attribute of its object: no resolver, arguments, permissions or extensions.
graphql-core spends 20 µs on each. Here the selection below a field is turned into nested functions
once per document, and a row becomes its response by attribute reads alone.

Directives, abstract types, fields selected twice, and values that are not as the schema says go to
graphql-core. That is safe at any time: reading an attribute has no effect, so graphql-core reads it
again, and reports the error with its path.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    InlineFragmentNode,
    SelectionSetNode,
    Undefined,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
)
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

Read: TypeAlias = Callable[[Any], Any]
"""From an object to the response of one of its fields; raises if graphql-core must do it."""

Reads: TypeAlias = dict[tuple[str | int, int], Read | None]
"""What a document's plain fields read, by the identity of the field's node. The other half of the
key is the parent's name for a field, and the type's identity for a value that a resolver gave. The
document and the schema live at least as long as this."""

_SELF_EVIDENT = {"String": str, "ID": str, "Boolean": bool}
"""Scalars whose response is the value itself, if it has this type."""


class _NotPlain(Exception):
    """The value needs graphql-core: it is null where it must not be, or of an unexpected type."""


class PlainFieldsExecutor(StrawberryGraphQLCoreExecutionContext):
    """Strawberry's executor, with a short way for plain fields.

    Args:
        reads: what is known of the document's fields; filled as they are met.
    """

    def __init__(self, *args: Any, reads: Reads, **options: Any) -> None:
        super().__init__(*args, **options)
        self._reads = reads

    def execute_field(
        self,
        parent_type: GraphQLObjectType,
        source: Any,
        field_details_list: Any,
        path: Any,
        position_context: Any,
    ) -> Any:
        if len(field_details_list) == 1:
            node = field_details_list[0].node
            key = (parent_type.name, id(node))
            try:
                read = self._reads[key]
            except KeyError:
                fragments = self.fragment_definitions
                read = self._reads[key] = _plain(self.schema, fragments, parent_type, node)
            if read is not None:
                try:
                    return read(source)
                except Exception:  # noqa: S110 - graphql-core repeats it and reports the error
                    pass
        return super().execute_field(
            parent_type, source, field_details_list, path, position_context
        )

    def complete_value(
        self,
        return_type: GraphQLOutputType,
        field_details_list: Any,
        info: Any,
        path: Any,
        result: Any,
        position_context: Any,
    ) -> Any:
        if len(field_details_list) == 1:
            node = field_details_list[0].node
            key = (id(return_type), id(node))
            try:
                complete = self._reads[key]
            except KeyError:
                complete = _completion(
                    self.schema, self.fragment_definitions, return_type, node.selection_set
                )
                self._reads[key] = complete
            if complete is not None:
                try:
                    return complete(result)
                except Exception:  # noqa: S110 - as above
                    pass
        return super().complete_value(
            return_type, field_details_list, info, path, result, position_context
        )


Fragments: TypeAlias = dict[str, FragmentDefinitionNode]


def _plain(
    schema: GraphQLSchema, fragments: Fragments, parent: GraphQLObjectType, node: FieldNode
) -> Read | None:
    """Reads the field of an object of the parent's type; None if the field is not plain."""
    if node.name.value == "__typename":
        name = parent.name
        return None if node.directives else lambda _source: name
    field = parent.fields.get(node.name.value)
    if field is None or node.directives or node.arguments:
        return None
    attribute = _attribute(field)
    complete = _completion(schema, fragments, field.type, node.selection_set)
    if attribute is None or complete is None:
        return None
    return lambda source: complete(getattr(source, attribute))


def _attribute(field: GraphQLField) -> str | None:
    """The attribute that a plain field reads."""
    definition = field.extensions.get("strawberry-definition")
    if definition is None or not getattr(field.resolve, "_is_default", False):
        return None
    if definition.default_resolver is not getattr:
        return None
    return str(definition.python_name)


def _completion(
    schema: GraphQLSchema,
    fragments: Fragments,
    type_: GraphQLOutputType,
    selection_set: SelectionSetNode | None,
) -> Read | None:
    """From a value of this type to its response; None if that takes more than plain fields."""
    if is_non_null_type(type_):
        complete = _completion(schema, fragments, type_.of_type, selection_set)
        return complete and _not_null(complete)
    if is_list_type(type_):
        complete = _completion(schema, fragments, type_.of_type, selection_set)
        return complete and _list_of(complete)
    if is_leaf_type(type_):
        return _leaf(type_)
    if is_object_type(type_) and type_.is_type_of is None and selection_set is not None:
        return _object(schema, fragments, type_, selection_set)
    return None


def _not_null(complete: Read) -> Read:
    def read(value: Any) -> Any:
        if value is None:
            raise _NotPlain
        return complete(value)

    return read


def _list_of(complete: Read) -> Read:
    def read(value: Any) -> Any:
        if value is None:
            return None
        if type(value) is not list:
            raise _NotPlain
        return [complete(item) for item in value]

    return read


def _leaf(type_: Any) -> Read:
    own = _SELF_EVIDENT.get(type_.name)
    coerce = type_.coerce_output_value

    def read(value: Any) -> Any:
        if value is None or type(value) is own:
            return value
        if isinstance(value, Exception) or hasattr(value, "__await__"):
            raise _NotPlain
        coerced = coerce(value)
        if coerced is None or coerced is Undefined:
            raise _NotPlain
        return coerced

    return read


def _object(
    schema: GraphQLSchema,
    fragments: Fragments,
    type_: GraphQLObjectType,
    selection_set: SelectionSetNode,
) -> Read | None:
    nodes = _field_nodes(fragments, type_, selection_set)
    reads: dict[str, Read] = {}
    for node in nodes or ():
        name = (node.alias or node.name).value
        read = _plain(schema, fragments, type_, node)
        if read is None or name in reads:
            return None
        reads[name] = read
    if not reads:
        return None
    items = list(reads.items())

    def read_all(value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, Exception) or hasattr(value, "__await__"):
            raise _NotPlain
        return {name: read(value) for name, read in items}

    return read_all


def _field_nodes(
    fragments: Fragments, type_: GraphQLObjectType, selection_set: SelectionSetNode
) -> list[FieldNode] | None:
    """The selected fields; None if a directive or another type's fragment decides on them."""
    found: list[FieldNode] = []
    for selection in selection_set.selections:
        if selection.directives:
            return None
        if isinstance(selection, FieldNode):
            found.append(selection)
            continue
        fragment = (
            fragments.get(selection.name.value)
            if isinstance(selection, FragmentSpreadNode)
            else selection
        )
        if not isinstance(fragment, FragmentDefinitionNode | InlineFragmentNode):
            return None
        condition = fragment.type_condition
        if condition is not None and condition.name.value != type_.name:
            return None
        nodes = _field_nodes(fragments, type_, fragment.selection_set)
        if nodes is None:
            return None
        found += nodes
    return found
