"""Rewrites a client's subscription for the owning subgraph: `after` in, `cursor` out."""

from typing import NamedTuple

from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    NamedTypeNode,
    NameNode,
    Node,
    OperationDefinitionNode,
    SelectionSetNode,
    StringValueNode,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    visit,
)

AFTER = "proofgraphAfter"
"""The variable of the rewritten document that holds the cursor to resume after."""

CURSOR = "proofgraphCursor"
"""The alias of each result's cursor, whether or not the client selected one."""


def subgraph_document(
    document: DocumentNode, operation: OperationDefinitionNode, field: FieldNode
) -> DocumentNode:
    """Returns the document that the owning subgraph executes.

    The variable `$proofgraphAfter` replaces the client's `after`, literal or variable, so that the
    gateway can resume any subscription. The cursor is selected in addition.
    """
    rewritten_field = _rewritten_field(field)
    fragments = _fragments(document, rewritten_field)
    used = _Variables.of(rewritten_field, *fragments)
    definitions = [
        definition
        for definition in operation.variable_definitions or ()
        if definition.variable.name.value in used
    ]
    after_definition = VariableDefinitionNode(
        variable=VariableNode(name=_name(AFTER)),
        type=NamedTypeNode(name=_name("String")),
        directives=(),
    )
    rewritten = OperationDefinitionNode(
        operation=operation.operation,
        name=operation.name,
        variable_definitions=(*definitions, after_definition),
        directives=operation.directives,
        selection_set=SelectionSetNode(selections=(rewritten_field,)),
    )
    return DocumentNode(definitions=(rewritten, *fragments))


def _rewritten_field(field: FieldNode) -> FieldNode:
    arguments = [argument for argument in field.arguments or () if argument.name.value != "after"]
    after = ArgumentNode(name=_name("after"), value=VariableNode(name=_name(AFTER)))
    cursor = FieldNode(alias=_name(CURSOR), name=_name("cursor"), arguments=(), directives=())
    selections = field.selection_set.selections if field.selection_set else ()
    return FieldNode(
        alias=field.alias,
        name=field.name,
        arguments=(*arguments, after),
        directives=field.directives,
        selection_set=SelectionSetNode(selections=(*selections, cursor)),
    )


class AfterArgument(NamedTuple):
    """A client's `after`: a variable, its default or a literal as `literal`, or neither."""

    variable: str | None = None
    literal: str | None = None


def after_argument(operation: OperationDefinitionNode, field: FieldNode) -> AfterArgument:
    """Returns the `after` argument that the client wrote."""
    values = [
        argument.value for argument in field.arguments or () if argument.name.value == "after"
    ]
    if not values:
        return AfterArgument()
    (value,) = values
    if not isinstance(value, VariableNode):
        return AfterArgument(literal=_text(value))
    defaults = (
        definition.default_value
        for definition in operation.variable_definitions or ()
        if definition.variable.name.value == value.name.value
    )
    return AfterArgument(value.name.value, _text(next(defaults, None)))


def _text(value: Node | None) -> str | None:
    return value.value if isinstance(value, StringValueNode) else None


def variables_of(document: DocumentNode) -> tuple[str, ...]:
    """Returns the client's variables that a subgraph's document uses, sorted by name."""
    return tuple(sorted(_Variables.of(document) - {AFTER}))


def variables_in(node: Node) -> set[str]:
    """Returns the names of the variables that a node uses."""
    return _Variables.of(node)


def _fragments(document: DocumentNode, root: Node) -> list[FragmentDefinitionNode]:
    """Returns the fragments a node uses, directly or through others, in document order."""
    known = {
        definition.name.value: definition
        for definition in document.definitions
        if isinstance(definition, FragmentDefinitionNode)
    }
    used: set[str] = set()
    waiting = [root]
    while waiting:
        for name in _Spreads.of(waiting.pop()) - used:
            used.add(name)
            waiting.append(known[name])
    return [fragment for name, fragment in known.items() if name in used]


class _Spreads(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_: object) -> None:
        self.found.add(node.name.value)

    @classmethod
    def of(cls, node: Node) -> set[str]:
        visitor = cls()
        visit(node, visitor)
        return visitor.found


class _Variables(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def enter_variable(self, node: VariableNode, *_: object) -> None:
        self.found.add(node.name.value)

    @classmethod
    def of(cls, *nodes: Node) -> set[str]:
        visitor = cls()
        for node in nodes:
            visit(node, visitor)
        return visitor.found


def _name(value: str) -> NameNode:
    return NameNode(value=value)
