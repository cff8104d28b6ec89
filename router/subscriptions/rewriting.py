"""A client's subscription, rewritten for its owner: a cursor in, a cursor out."""

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
"""The variable that carries the cursor to go on after."""

CURSOR = "proofgraphCursor"
"""The name under which the owner gives an answer's cursor, whatever the client selected."""


def for_owner(
    document: DocumentNode, operation: OperationDefinitionNode, field: FieldNode
) -> DocumentNode:
    """The document the owner runs.

    `after` becomes a variable of ours, so that a subscription can be resumed however the client
    wrote it; the cursor is selected besides what the client selected.
    """
    arguments = [argument for argument in field.arguments or () if argument.name.value != "after"]
    after = ArgumentNode(name=_name("after"), value=VariableNode(name=_name(AFTER)))
    cursor = FieldNode(alias=_name(CURSOR), name=_name("cursor"), arguments=(), directives=())
    selections = field.selection_set.selections if field.selection_set else ()
    asked = FieldNode(
        alias=field.alias,
        name=field.name,
        arguments=(*arguments, after),
        directives=field.directives,
        selection_set=SelectionSetNode(selections=(*selections, cursor)),
    )
    fragments = _fragments(document, asked)
    used = _Variables.of(asked, *fragments)
    definitions = [
        definition
        for definition in operation.variable_definitions or ()
        if definition.variable.name.value in used
    ]
    ours = VariableDefinitionNode(
        variable=VariableNode(name=_name(AFTER)),
        type=NamedTypeNode(name=_name("String")),
        directives=(),
    )
    rewritten = OperationDefinitionNode(
        operation=operation.operation,
        name=operation.name,
        variable_definitions=(*definitions, ours),
        directives=operation.directives,
        selection_set=SelectionSetNode(selections=(asked,)),
    )
    return DocumentNode(definitions=(rewritten, *fragments))


class After(NamedTuple):
    """What a client gave for `after`: a variable, maybe with a default, a cursor, or nothing."""

    variable: str | None = None
    literal: str | None = None


def client_after(operation: OperationDefinitionNode, field: FieldNode) -> After:
    """Where the client wants its subscription to begin."""
    values = [
        argument.value for argument in field.arguments or () if argument.name.value == "after"
    ]
    if not values:
        return After()
    (value,) = values
    if not isinstance(value, VariableNode):
        return After(literal=_text(value))
    defaults = (
        definition.default_value
        for definition in operation.variable_definitions or ()
        if definition.variable.name.value == value.name.value
    )
    return After(value.name.value, _text(next(defaults, None)))


def _text(value: Node | None) -> str | None:
    return value.value if isinstance(value, StringValueNode) else None


def variables_of(asked: DocumentNode) -> tuple[str, ...]:
    """The client's variables in an owner's document."""
    return tuple(sorted(_Variables.of(asked) - {AFTER}))


def _fragments(document: DocumentNode, root: Node) -> list[FragmentDefinitionNode]:
    """The fragments a node uses, directly and through others, in the document's order."""
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
