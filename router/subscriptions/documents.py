"""What a client may ask, by the public schema and our limits; and who answers it."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from ariadne import load_schema_from_path, make_executable_schema
from graphql import (
    FieldNode,
    GraphQLError,
    GraphQLSchema,
    ObjectTypeDefinitionNode,
    OperationType,
    build_ast_schema,
    get_operation_ast,
    parse,
    print_ast,
    validate,
)

from router.subscriptions.cursors import Cursor, as_cursor
from router.subscriptions.rewriting import After, client_after, for_owner, variables_of
from subgraphs.kernel.config import SUBGRAPHS, SubgraphName
from subgraphs.kernel.graphql.limits import size_of

SCHEMA_DIR = Path(__file__).parents[2] / "schema"

MAX_TOKENS = 500
"""A subscription has some forty. Comparing fields that repeat takes time by their number squared,
in the one loop that serves everybody: four times as many would hold it up for half a second."""

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
    after: After
    """Where the client wants to begin."""

    def begin(self, variables: Mapping[str, Any]) -> Cursor | None:
        """The cursor to go on after; None is from now.

        Raises:
            Refused: it is no cursor.
        """
        given = self.after.literal
        if self.after.variable is not None:
            given = variables.get(self.after.variable, given)
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
        if errors := [*size_of(document).errors(), *validate(self._api, document)]:
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
            owner,
            print_ast(asked),
            response_key,
            variables_of(asked),
            client_after(operation, field),
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
