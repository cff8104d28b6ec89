"""Parses clients' documents: checks them against the API schema, and finds the owning subgraph."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from ariadne import load_schema_from_path, make_executable_schema
from ariadne.graphql import validate_query
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    ObjectTypeDefinitionNode,
    OperationDefinitionNode,
    OperationType,
    build_ast_schema,
    get_operation_ast,
    parse,
    print_ast,
)

from router.subscriptions.cursors import Cursor, parse_cursor
from router.subscriptions.entity_query import EntityQuery, entity_query
from router.subscriptions.entity_selections import NotSelectable, SelectionSplitter
from router.subscriptions.subgraph_query import (
    AfterArgument,
    after_argument,
    subgraph_document,
    variables_of,
)
from subgraphs.kernel.config import SUBGRAPHS, SubgraphName
from subgraphs.kernel.graphql.limits import DocumentLimitsRule

_NOT_AVAILABLE = "Not available in this subscription, send a query for it: "

SCHEMA_DIR = Path(__file__).parents[2] / "schema"

MAX_TOKENS = 500
"""A usual subscription has some 40. Validation compares repeated fields pairwise, in the loop that
serves every client: 2,000 tokens would block it for half a second."""

_CACHED_DOCUMENTS = 1_000
"""A shop's visitors all send the same document: it is parsed once."""


class RequestRejected(Exception):
    """The request is not executed. `errors` are GraphQL errors, each with its code."""

    def __init__(self, *errors: dict[str, Any]) -> None:
        super().__init__(errors[0]["message"])
        self.errors = list(errors)

    @classmethod
    def with_code(cls, message: str, code: str) -> "RequestRejected":
        """Returns a rejection with one error."""
        return cls({"message": message, "extensions": {"code": code}})

    @classmethod
    def invalid(cls, *errors: GraphQLError) -> "RequestRejected":
        """Returns a rejection with these errors as BAD_USER_INPUT."""
        code = {"extensions": {"code": "BAD_USER_INPUT"}}
        return cls(*({**error.formatted, **code} for error in errors))


class ParsedSubscription(NamedTuple):
    """A subscription as the gateway sends it to the owning subgraph."""

    subgraph: SubgraphName
    query: str
    response_key: str
    variables: tuple[str, ...]
    """The client's variables that the query uses."""
    after: AfterArgument
    """The client's `after` argument, which the query has no longer."""
    entities: EntityQuery | None = None
    """What the router adds to each result."""

    def start_cursor(self, variables: Mapping[str, Any]) -> Cursor | None:
        """Returns the cursor after which the client's results begin; None starts now.

        Raises:
            RequestRejected: `after` is not a cursor.
        """
        given = self.after.literal
        if self.after.variable is not None:
            given = variables.get(self.after.variable, given)
        if given is None:
            return None
        try:
            return parse_cursor(given)
        except (ValueError, AttributeError) as error:
            message = "`after` must be the `cursor` of a message received before, or null."
            raise RequestRejected.with_code(message, "BAD_USER_INPUT") from error


class DocumentParser:
    """Parses documents by the schemas of a folder.

    Args:
        folder: holds `api.graphql` and each subgraph's SDL.
    """

    def __init__(self, folder: Path = SCHEMA_DIR) -> None:
        self._api = make_executable_schema(load_schema_from_path(str(folder / "api.graphql")))
        self._subgraphs = dict(_subscription_fields(folder))
        self.parse = lru_cache(maxsize=_CACHED_DOCUMENTS)(self._parse)

    def _parse(self, query: str, operation_name: str | None = None) -> ParsedSubscription | None:
        """Returns a document's subscription; None for a query or mutation, which the router runs.

        Raises:
            RequestRejected: the document does not parse or validate, exceeds a limit, or selects
                fields that only a query can return.
        """
        document = self._validated(query)
        operation = get_operation_ast(document, operation_name)
        if operation is None:
            message = "`operationName` must name one of the document's operations."
            raise RequestRejected.invalid(GraphQLError(message))
        if operation.operation is not OperationType.SUBSCRIPTION:
            return None
        return self._subscription(document, operation)

    def _validated(self, query: str) -> DocumentNode:
        try:
            document = parse(query, max_tokens=MAX_TOKENS)
        except GraphQLError as error:
            raise RequestRejected.invalid(error) from error
        if errors := validate_query(self._api, document, rules=[DocumentLimitsRule]):
            raise RequestRejected.invalid(*errors)
        return document

    def _subscription(
        self, document: DocumentNode, operation: OperationDefinitionNode
    ) -> ParsedSubscription:
        field = operation.selection_set.selections[0]
        if not isinstance(field, FieldNode) or field.name.value not in self._subgraphs:
            message = "A subscription must select a field of Subscription, not through a fragment."
            raise RequestRejected.invalid(GraphQLError(message))
        name, schema = self._subgraphs[field.name.value]
        fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        splitter = SelectionSplitter(self._api, schema, fragments)
        try:
            owned = splitter.split(field)
        except NotSelectable as error:
            raise RequestRejected.invalid(GraphQLError(_NOT_AVAILABLE + str(error))) from error
        if splitter.found:
            field = owned
        sent = subgraph_document(document, operation, field)
        if errors := validate_query(schema, sent):
            raise RequestRejected.invalid(
                *(GraphQLError(_NOT_AVAILABLE + error.message) for error in errors)
            )
        return ParsedSubscription(
            subgraph=name,
            query=print_ast(sent),
            response_key=(field.alias or field.name).value,
            variables=variables_of(sent),
            after=after_argument(operation, field),
            entities=entity_query(operation, splitter.found),
        )


def _subscription_fields(folder: Path) -> Iterator[tuple[str, tuple[SubgraphName, GraphQLSchema]]]:
    """Yields each subscription field's name, with its subgraph and that subgraph's schema."""
    for name in SUBGRAPHS:
        sdl = parse((folder / f"{name}.graphql").read_text())
        schema = build_ast_schema(sdl, assume_valid=True, assume_valid_sdl=True)
        for definition in sdl.definitions:
            if (
                isinstance(definition, ObjectTypeDefinitionNode)
                and definition.name.value == "Subscription"
            ):
                yield from ((field.name.value, (name, schema)) for field in definition.fields or ())
