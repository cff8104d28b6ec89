"""Limits on GraphQL documents: tokens, depth and aliases, with fragments counted where spread.

Each fragment is walked once and its size reused. Walking it at each spread would not end in useful
time: forty fragments that each spread the next one twice make 2^40 fields in 300 words.
"""

from typing import NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    ValidationContext,
    ValidationRule,
)

MAX_DEPTH = 12
"""Levels. The deepest useful path, connections inside connections, has 9."""

MAX_TOKENS = 2_000
MAX_ALIASES = 30


class Size(NamedTuple):
    """The size of a document, or of a part of it."""

    levels: int = 0
    """Depth of the deepest field; introspection fields do not count."""
    aliases: int = 0

    def errors(self) -> list[GraphQLError]:
        """One error for each exceeded limit."""
        found = []
        if self.levels > MAX_DEPTH:
            found.append(
                GraphQLError(
                    f"The document is {self.levels} levels deep; at most {MAX_DEPTH} are allowed."
                )
            )
        if self.aliases > MAX_ALIASES:
            found.append(
                GraphQLError(
                    f"The document has {self.aliases} aliases; at most {MAX_ALIASES} are allowed."
                )
            )
        return found


def size_of(document: DocumentNode) -> Size:
    """The size of all operations of a document; missing and circular fragments are accepted."""
    fragments = {
        definition.name.value: definition
        for definition in document.definitions
        if isinstance(definition, FragmentDefinitionNode)
    }
    sizes: dict[str, Size] = {}

    def of_fragment(name: str) -> Size:
        if name not in sizes:
            sizes[name] = Size()  # a fragment that spreads itself adds nothing
            fragment = fragments.get(name)
            sizes[name] = of_all(fragment.selection_set if fragment else None)
        return sizes[name]

    def of(node: SelectionNode) -> Size:
        if isinstance(node, FragmentSpreadNode):
            return of_fragment(node.name.value)
        below = of_all(getattr(node, "selection_set", None))
        if not isinstance(node, FieldNode):
            return below
        levels = 0 if node.name.value.startswith("__") else below.levels + 1
        return Size(levels, below.aliases + (node.alias is not None))

    def of_all(selection_set: SelectionSetNode | None) -> Size:
        return _sum([of(node) for node in selection_set.selections] if selection_set else [])

    return _sum(
        [
            of_all(definition.selection_set)
            for definition in document.definitions
            if isinstance(definition, OperationDefinitionNode)
        ]
    )


class DocumentLimitsRule(ValidationRule):
    """Rejects a document that exceeds a limit."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        for error in size_of(context.document).errors():
            self.report_error(error)


def _sum(sizes: list[Size]) -> Size:
    return Size(max((it.levels for it in sizes), default=0), sum(it.aliases for it in sizes))
