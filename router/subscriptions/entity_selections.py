"""Splits a subscription's selections between the owning subgraph and the router.

The owning subgraph resolves the fields that it has. Where a client selects further fields of an
entity, such as a claim's `site { subscription { plan } }`, the owner returns the entity's id, and
the router resolves the further fields by the query field that takes this id.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLString,
    InlineFragmentNode,
    NamedTypeNode,
    NameNode,
    SelectionNode,
    SelectionSetNode,
    get_named_type,
    is_non_null_type,
)

_Node = TypeVar("_Node", bound=FieldNode | InlineFragmentNode)

ENTITY_ID = "proofgraphEntityId"
"""The alias of an entity's id in the owner's results."""


class EntitySelection(NamedTuple):
    """The fields of one entity that the router resolves."""

    path: tuple[str, ...]
    """Response keys from the result's data to the entity; a list on the way has no key."""
    query_field: str
    """The query field that returns the entity by its id."""
    selections: tuple[SelectionNode, ...]
    keys: tuple[str, ...]
    """The response keys of `selections`."""
    has_required: bool
    """Whether one of these fields must not be null."""
    nullable_depth: int
    """How many keys of `path` lead to the nearest value that may be null; 0: the data itself."""


class NotSelectable(Exception):
    """A field that neither the owner has nor an entity's id leads to."""

    def __init__(self, type_name: str, field: str) -> None:
        super().__init__(f"Cannot query field '{field}' on type '{type_name}'.")


class SelectionSplitter:
    """Splits the selections of one subscription field.

    Args:
        api: the supergraph's schema.
        owner: the owning subgraph's schema.
    """

    def __init__(
        self,
        api: GraphQLSchema,
        owner: GraphQLSchema,
        fragments: Mapping[str, FragmentDefinitionNode],
    ) -> None:
        self._api = api
        self._owner = owner
        self._fragments = fragments
        self._query_fields = _query_fields_by_id(api)
        self.found: list[EntitySelection] = []
        """The entities whose further fields the router resolves."""

    def split(self, field: FieldNode) -> FieldNode:
        """Returns the subscription's field with the owner's selections; fills `found`.

        Raises:
            NotSelectable: a field cannot be resolved at all.
        """
        root = self._api.subscription_type
        assert root is not None  # noqa: S101  (the document is valid)
        return self._split_field(field, root, (), 0)

    def _split_field(
        self, field: FieldNode, parent: GraphQLObjectType, path: tuple[str, ...], nullable: int
    ) -> FieldNode:
        type_ = parent.fields[field.name.value].type
        named = get_named_type(type_)
        if field.selection_set is None:
            return field
        path = (*path, (field.alias or field.name).value)
        if not is_non_null_type(type_):
            nullable = len(path)
        owned, missing = self._split(field.selection_set.selections, named, path, nullable)
        if missing:
            owned.append(self._entity_id(named, path, nullable, missing))
        return _with_selections(field, owned)

    def _split(
        self,
        selections: Iterable[SelectionNode],
        type_: GraphQLNamedType,
        path: tuple[str, ...],
        nullable: int,
    ) -> tuple[list[SelectionNode], list[SelectionNode]]:
        """Returns the selections that the owner resolves, and the others."""
        owned: list[SelectionNode] = []
        missing: list[SelectionNode] = []
        for selection in _inlined(selections, self._fragments):
            if isinstance(selection, FieldNode):
                name = selection.name.value
                if name.startswith("__"):
                    owned.append(selection)
                elif not self._owner_has(type_.name, name):
                    missing.append(selection)
                elif isinstance(type_, GraphQLObjectType):
                    owned.append(self._split_field(selection, type_, path, nullable))
                else:
                    owned.append(selection)
            elif isinstance(selection, InlineFragmentNode):
                condition = selection.type_condition
                inner = type_ if condition is None else self._api.type_map[condition.name.value]
                parts = self._split(selection.selection_set.selections, inner, path, nullable)
                for target, part in zip((owned, missing), parts, strict=True):
                    if part:
                        target.append(_with_selections(selection, part))
        return owned, missing

    def _owner_has(self, type_name: str, field: str) -> bool:
        return field in getattr(self._owner.type_map.get(type_name), "fields", {})

    def _entity_id(
        self,
        type_: GraphQLNamedType,
        path: tuple[str, ...],
        nullable: int,
        missing: list[SelectionNode],
    ) -> FieldNode:
        """Records an entity's further fields; returns the selection of its id."""
        query_field = self._query_fields.get(type_.name)
        if (
            query_field is None
            or not isinstance(type_, GraphQLObjectType)
            or not self._owner_has(type_.name, "id")
        ):
            raise NotSelectable(type_.name, next(_fields(missing)).name.value)
        fields = list(_fields(missing))
        keys = tuple((field.alias or field.name).value for field in fields)
        has_required = any(is_non_null_type(_type_of(type_, field)) for field in fields)
        self.found.append(
            EntitySelection(path, query_field, tuple(missing), keys, has_required, nullable)
        )
        return FieldNode(
            alias=NameNode(value=ENTITY_ID),
            name=NameNode(value="id"),
            arguments=(),
            directives=(),
        )


def _query_fields_by_id(api: GraphQLSchema) -> dict[str, str]:
    """Returns the query field of each type that can be queried by `id: ID!` alone."""
    found: dict[str, str] = {}
    for name, field in (api.query_type.fields if api.query_type else {}).items():
        named = get_named_type(field.type)
        argument: Any = field.args.get("id")
        is_by_id = len(field.args) == 1 and argument and isinstance(argument.type, GraphQLNonNull)
        if is_by_id and isinstance(named, GraphQLObjectType):
            found.setdefault(named.name, name)
    return found


def _inlined(
    selections: Iterable[SelectionNode], fragments: Mapping[str, FragmentDefinitionNode]
) -> Iterator[SelectionNode]:
    """Yields the selections with each fragment spread as an inline fragment, at every level."""
    for selection in selections:
        if isinstance(selection, FragmentSpreadNode):
            fragment = fragments[selection.name.value]
            selections_of = tuple(_inlined(fragment.selection_set.selections, fragments))
            yield InlineFragmentNode(
                type_condition=NamedTypeNode(name=fragment.type_condition.name),
                directives=selection.directives,
                selection_set=SelectionSetNode(selections=selections_of),
            )
        elif isinstance(selection, FieldNode | InlineFragmentNode) and selection.selection_set:
            inner = _inlined(selection.selection_set.selections, fragments)
            yield _with_selections(selection, inner)
        else:
            yield selection


def _fields(selections: Iterable[SelectionNode]) -> Iterator[FieldNode]:
    for selection in selections:
        if isinstance(selection, FieldNode):
            yield selection
        elif isinstance(selection, InlineFragmentNode):
            yield from _fields(selection.selection_set.selections)


def _type_of(type_: GraphQLObjectType, field: FieldNode) -> Any:
    name = field.name.value
    return GraphQLNonNull(GraphQLString) if name == "__typename" else type_.fields[name].type


def _with_selections(node: _Node, selections: Iterable[SelectionNode]) -> _Node:
    return replace(node, selection_set=SelectionSetNode(selections=tuple(selections)))
