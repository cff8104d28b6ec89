"""The query that the router executes for the entities in a subscription's results."""

from collections.abc import Sequence
from typing import NamedTuple

from graphql import OperationDefinitionNode, SelectionSetNode, print_ast

from router.subscriptions.entity_selections import EntitySelection
from router.subscriptions.subgraph_query import variables_in


class EntityPart(NamedTuple):
    """An `EntitySelection` with its selections printed."""

    selection: EntitySelection
    text: str


class EntityQuery(NamedTuple):
    """What to ask the router for, of the entities in each result of a subscription."""

    entities: tuple[EntityPart, ...]
    variable_definitions: tuple[str, ...]
    variables: tuple[str, ...]
    """The client's variables that the parts use."""

    @property
    def text(self) -> str:
        """Tells queries apart."""
        return "\n".join(f"{'.'.join(part.selection.path)} {part.text}" for part in self.entities)


def entity_query(
    operation: OperationDefinitionNode, selections: Sequence[EntitySelection]
) -> EntityQuery | None:
    """Returns the query for these selections of a client's operation; None if there are none."""
    if not selections:
        return None
    sets = [SelectionSetNode(selections=selection.selections) for selection in selections]
    used = {name for node in sets for name in variables_in(node)}
    definitions = [
        definition
        for definition in operation.variable_definitions or ()
        if definition.variable.name.value in used
    ]
    return EntityQuery(
        tuple(
            EntityPart(selection, print_ast(node))
            for selection, node in zip(selections, sets, strict=True)
        ),
        tuple(map(print_ast, definitions)),
        tuple(definition.variable.name.value for definition in definitions),
    )
