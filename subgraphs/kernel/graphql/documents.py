"""Cache of parsed and valid documents, and the limits that a new document must keep.

Without it Strawberry parses and validates every request: twelve times slower.
"""

from collections.abc import Iterator
from typing import NamedTuple

from cachetools import LRUCache
from graphql import DocumentNode, OperationDefinitionNode
from strawberry.extensions import SchemaExtension
from strawberry.types.graphql import OperationType

from subgraphs.kernel.graphql.limits import MAX_TOKENS, DocumentLimitsRule
from subgraphs.kernel.graphql.plain_fields import Reads

_MAX_DOCUMENTS = 512
_LONGEST_DOCUMENT = 20_000
"""Characters. Longer documents run, and are parsed each time: a client must not fill the memory."""


class Document(NamedTuple):
    """A valid document."""

    node: DocumentNode
    operation: OperationDefinitionNode | None
    """Its only operation; None if it has several."""
    reads: Reads
    """How its plain fields are read; filled by the first requests."""

    def has(self, operation_name: str | None) -> bool:
        """Whether this name, or none, selects the only operation."""
        if self.operation is None:
            return False
        own = self.operation.name.value if self.operation.name else None
        return operation_name in (None, own)

    def is_one_of(self, allowed: object) -> bool:
        """Whether the operation has an allowed type; all are if none is given."""
        if self.operation is None:
            return False
        kind = OperationType(self.operation.operation.value)
        return allowed is None or kind in allowed  # type: ignore[operator]  # any collection


class Documents(LRUCache[str, Document]):
    """The valid documents of one schema, by their text."""

    def __init__(self) -> None:
        super().__init__(_MAX_DOCUMENTS)

    def remember(self, query: str | None, node: DocumentNode) -> None:
        """Keep a document that was found valid."""
        if query is None or len(query) > _LONGEST_DOCUMENT:
            return
        operations = [it for it in node.definitions if isinstance(it, OperationDefinitionNode)]
        self[query] = Document(node, operations[0] if len(operations) == 1 else None, {})


class CheckedDocuments(SchemaExtension):
    """Parses and validates documents that are not known yet, within the limits."""

    def __init__(self, documents: Documents) -> None:
        super().__init__()
        self._documents = documents
        self._is_known = False

    def on_operation(self) -> Iterator[None]:
        context = self.execution_context
        context.parse_options["max_tokens"] = MAX_TOKENS
        context.validation_rules += (DocumentLimitsRule,)
        yield

    def on_parse(self) -> Iterator[None]:
        known = self._documents.get(self.execution_context.query or "")
        if known is not None:
            self._is_known = True
            self.execution_context.graphql_document = known.node
        yield

    def on_validate(self) -> Iterator[None]:
        context = self.execution_context
        if self._is_known:
            context.pre_execution_errors = []  # Strawberry validates while this is None
        yield
        if not self._is_known and not context.pre_execution_errors and context.graphql_document:
            self._documents.remember(context.query, context.graphql_document)
