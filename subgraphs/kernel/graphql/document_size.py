"""How much a document asks for, with its fragments unfolded.

Each fragment is walked once. Whoever walks it as often as it is spread never comes to an end with
forty that each spread the next one twice, which takes three hundred words to write.
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

from subgraphs.kernel.graphql.limits import MAX_ALIASES, MAX_DEPTH


class Size(NamedTuple):
    """Of a document, or of a part of it."""

    levels: int = 0
    """How deep it goes; what the schema says of itself does not count."""
    aliases: int = 0

    def errors(self) -> list[GraphQLError]:
        """What is too much."""
        found = []
        if self.levels > MAX_DEPTH:
            found.append(GraphQLError(f"The document is more than {MAX_DEPTH} levels deep."))
        if self.aliases > MAX_ALIASES:
            found.append(GraphQLError(f"{self.aliases} aliases found. Allowed: {MAX_ALIASES}"))
        return found


def size_of(document: DocumentNode) -> Size:
    """The size of all its operations together. Fragments may be missing, or lead in circles."""
    fragments = {
        definition.name.value: definition
        for definition in document.definitions
        if isinstance(definition, FragmentDefinitionNode)
    }
    known: dict[str, Size] = {}

    def of_fragment(name: str) -> Size:
        if name not in known:
            known[name] = Size()  # until its end: one that comes back to itself adds nothing
            fragment = fragments.get(name)
            known[name] = of_all(fragment.selection_set if fragment else None)
        return known[name]

    def of(node: SelectionNode) -> Size:
        if isinstance(node, FragmentSpreadNode):
            return of_fragment(node.name.value)
        below = of_all(getattr(node, "selection_set", None))
        if not isinstance(node, FieldNode):
            return below
        levels = 0 if node.name.value.startswith("__") else below.levels + 1
        return Size(levels, below.aliases + (node.alias is not None))

    def of_all(selection_set: SelectionSetNode | None) -> Size:
        return _together([of(node) for node in selection_set.selections] if selection_set else [])

    return _together(
        [
            of_all(definition.selection_set)
            for definition in document.definitions
            if isinstance(definition, OperationDefinitionNode)
        ]
    )


class SizeRule(ValidationRule):
    """Refuses a document that is past the limits."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        for error in size_of(context.document).errors():
            self.report_error(error)


def _together(sizes: list[Size]) -> Size:
    return Size(max((it.levels for it in sizes), default=0), sum(it.aliases for it in sizes))
