"""What a client may ask, by the public schema and our limits; and who answers it."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from ariadne import load_schema_from_path, make_executable_schema
from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLSchema,
    ObjectTypeDefinitionNode,
    OperationType,
    SelectionNode,
    VariableNode,
    build_ast_schema,
    get_operation_ast,
    parse,
    print_ast,
    validate,
)

from router.live.cursors import Cursor, as_cursor
from router.live.rewriting import client_after, for_owner, variables_of
from subgraphs.kernel.config import SUBGRAPHS, SubgraphName
from subgraphs.kernel.schema import MAX_ALIASES, MAX_DEPTH, MAX_TOKENS

SCHEMA_DIR = Path(__file__).parents[2] / "schema"

_READ_DOCUMENTS = 1_000
"""A shop's visitors all ask the same: a document is read once, then found."""


class Refused(Exception):
    """What is not answered, with the errors that say why, each with its code."""

    def __init__(self, *errors: dict[str, Any]) -> None:
        super().__init__(errors[0]["message"])
        self.errors = list(errors)

    @classmethod
    def because(cls, message: str, code: str) -> "Refused":
        """One error of our own."""
        return cls({"message": message, "extensions": {"code": code}})


class Subscription(NamedTuple):
    """A subscription as its owner is asked for it."""

    owner: SubgraphName
    query: str
    response_key: str
    variables: tuple[str, ...]
    """The client's variables that the query uses."""
    after: VariableNode | str | None
    """Where the client wants to begin: the name of its variable, a cursor, or from now."""

    def begin(self, variables: Mapping[str, Any]) -> Cursor | None:
        """The cursor to go on after; None is from now.

        Raises:
            Refused: it is no cursor.
        """
        given = self.after
        if isinstance(given, VariableNode):
            given = variables.get(given.name.value)
        if given is None:
            return None
        try:
            return as_cursor(given)
        except (ValueError, AttributeError) as error:
            message = "`after` must be a cursor that a message carried."
            raise Refused.because(message, "BAD_USER_INPUT") from error


class Documents:
    """Documents by the schemas of a folder.

    Args:
        folder: holds `api.graphql` and each subgraph's SDL.
    """

    def __init__(self, folder: Path = SCHEMA_DIR) -> None:
        self._api = make_executable_schema(load_schema_from_path(str(folder / "api.graphql")))
        self._owners = dict(_owners(folder))
        self.read = lru_cache(maxsize=_READ_DOCUMENTS)(self._read)

    def _read(self, query: str, operation_name: str | None = None) -> Subscription | None:
        """The subscription of a document; None for a query or mutation, the router's work.

        Raises:
            Refused: it does not parse or fit, is too large, or cannot be followed live.
        """
        try:
            document = parse(query, max_tokens=MAX_TOKENS)
        except GraphQLError as error:
            raise refused(error) from error
        if errors := [*_past_limits(document), *validate(self._api, document)]:
            raise refused(*errors)
        operation = get_operation_ast(document, operation_name)
        if operation is None:
            raise refused(GraphQLError("Say by `operationName` which operation of these to run."))
        if operation.operation is not OperationType.SUBSCRIPTION:
            return None
        field = operation.selection_set.selections[0]
        if not isinstance(field, FieldNode) or field.name.value not in self._owners:
            raise refused(GraphQLError("Select a field of Subscription, not through a fragment."))
        owner, schema = self._owners[field.name.value]
        asked = for_owner(document, operation, field)
        if errors := validate(schema, asked):
            reason = "This part cannot be followed live, ask for it with a query: "
            raise refused(*(GraphQLError(reason + error.message) for error in errors))
        response_key = (field.alias or field.name).value
        return Subscription(
            owner, print_ast(asked), response_key, variables_of(asked), client_after(field)
        )


def refused(*errors: GraphQLError) -> Refused:
    """Errors that are the client's to mend."""
    return Refused(
        *({**error.formatted, "extensions": {"code": "BAD_USER_INPUT"}} for error in errors)
    )


def _owners(folder: Path) -> Iterator[tuple[str, tuple[SubgraphName, GraphQLSchema]]]:
    """Each subscription field, with the subgraph that has it."""
    for name in SUBGRAPHS:
        sdl = parse((folder / f"{name}.graphql").read_text())
        schema = build_ast_schema(sdl, assume_valid=True, assume_valid_sdl=True)
        for definition in sdl.definitions:
            if (
                isinstance(definition, ObjectTypeDefinitionNode)
                and definition.name.value == "Subscription"
            ):
                yield from ((field.name.value, (name, schema)) for field in definition.fields or ())


def _past_limits(document: DocumentNode) -> Iterator[GraphQLError]:
    """Depth and aliases; fragments count where they are defined, which bounds them too."""
    aliases = 0
    waiting: list[tuple[SelectionNode, int]] = []
    for definition in document.definitions:
        selection_set = getattr(definition, "selection_set", None)
        waiting += [(node, 1) for node in (selection_set.selections if selection_set else ())]
    while waiting:
        node, depth = waiting.pop()
        aliases += getattr(node, "alias", None) is not None
        if depth > MAX_DEPTH:
            yield GraphQLError(f"The document is more than {MAX_DEPTH} levels deep.", node)
            return
        selection_set = getattr(node, "selection_set", None)
        waiting += [
            (child, depth + 1) for child in (selection_set.selections if selection_set else ())
        ]
    if aliases > MAX_ALIASES:
        yield GraphQLError(f"The document has more than {MAX_ALIASES} aliases.")
