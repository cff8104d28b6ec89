"""Plain fields give what graphql-core gives, errors and their paths included."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Generic, TypeVar, cast

import pytest
import strawberry
from graphql import parse, validate
from graphql.execution import execute
from hypothesis import given, settings
from hypothesis import strategies as st
from strawberry.execution.is_awaitable import optimized_is_awaitable
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from subgraphs.kernel.errors import Forbidden
from subgraphs.kernel.graphql.context import Context
from subgraphs.kernel.graphql.plain_fields import PlainFieldsExecutor, Reads
from subgraphs.kernel.graphql.schema import build_schema
from subgraphs.kernel.graphql.types import BigInt
from subgraphs.kernel.identity.viewer import NOBODY

T = TypeVar("T")


@strawberry.enum
class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@strawberry.type
class Page(Generic[T]):
    rows: list[T]
    total: BigInt


@strawberry.type
class Leaf:
    id: strawberry.ID
    name: str | None
    colour: Colour
    at: datetime
    size: int
    ratio: float
    tags: list[str]
    maybe: list[int | None] | None
    is_new: bool = strawberry.field(name="new")

    @strawberry.field
    def shout(self, mark: str = "!") -> str:
        return f"{self.name}{mark}"

    @strawberry.field
    async def later(self) -> str | None:
        if self.size == 3:
            raise Forbidden("Not this one.")
        return self.name


@strawberry.type
class Tree:
    leaf: Leaf
    other: Leaf | None
    leaves: list[Leaf]

    @strawberry.field
    def page(self) -> Page[Leaf]:
        return Page(rows=self.leaves, total=BigInt(len(self.leaves)))


@dataclass
class Broken:
    """What a resolver may return by mistake: values of the wrong type, missing attributes."""

    id: Any = 7
    name: Any = None
    colour: Any = "green"
    at: Any = "soon"
    size: Any = 2**40
    ratio: Any = "x"
    tags: Any = None


def leaf(number: int) -> Leaf:
    return Leaf(
        id=strawberry.ID(str(number)),
        name=None if number % 2 else f"leaf {number}",
        colour=Colour.RED,
        at=datetime(2026, 1, 1, tzinfo=UTC),
        size=number,
        ratio=number / 2,
        tags=["a", "b"],
        maybe=None if number % 3 else [1, None],
        is_new=True,
    )


@strawberry.type
class Query:
    @strawberry.field
    def tree(self) -> Tree:
        return Tree(leaf=leaf(1), other=None, leaves=[leaf(n) for n in range(5)])

    @strawberry.field
    async def leaves(self) -> list[Leaf]:
        return [leaf(n) for n in range(5)]

    @strawberry.field
    def broken(self) -> list[Leaf | None]:
        return [leaf(0), cast(Leaf, Broken()), None, leaf(2)]

    @strawberry.field
    def missing(self) -> Leaf:
        return cast(Leaf, None)

    @strawberry.field
    def failed(self) -> Leaf | None:
        return cast(Leaf, Forbidden("No."))


schema = build_schema(query=Query)

_LEAF_FIELDS = (
    "id",
    "name",
    "colour",
    "at",
    "size",
    "ratio",
    "tags",
    "maybe",
    "new",
    "shout",
    'shout(mark: "?")',
    "later",
    "__typename",
    "... on Leaf { name size }",
    "...Parts",
    "... { id }",
    "name @include(if: $yes)",
    "name @skip(if: $yes)",
    "again: name",
    "id: name",
)
_PARTS = "fragment Parts on Leaf { tags at }"

_leaf = st.lists(st.sampled_from(_LEAF_FIELDS), min_size=1, max_size=6).map(
    lambda fields: "{ " + " ".join(fields) + " }"
)
_tree = st.lists(
    st.one_of(
        _leaf.map(lambda it: f"leaf {it}"),
        _leaf.map(lambda it: f"other {it}"),
        _leaf.map(lambda it: f"leaves {it}"),
        _leaf.map(lambda it: f"page {{ total rows {it} }}"),
        st.just("__typename"),
    ),
    min_size=1,
    max_size=4,
).map(lambda fields: "{ " + " ".join(fields) + " }")
_query = st.lists(
    st.one_of(
        _tree.map(lambda it: f"tree {it}"),
        _leaf.map(lambda it: f"leaves {it}"),
        _leaf.map(lambda it: f"broken {it}"),
        _leaf.map(lambda it: f"missing {it}"),
        _leaf.map(lambda it: f"failed {it}"),
    ),
    min_size=1,
    max_size=3,
).map(lambda fields: "query Q($yes: Boolean!) { " + " ".join(fields) + " }")


async def response(document: str, reads: Reads | None, yes: bool) -> Any:
    own: dict[str, Any] = {"executor_class": StrawberryGraphQLCoreExecutionContext}
    if reads is not None:
        own = {"executor_class": PlainFieldsExecutor, "reads": reads}
    found = execute(
        schema._schema,
        parsed(document),
        context_value=Context(NOBODY),
        variable_values={"yes": yes},
        is_awaitable=cast(Any, optimized_is_awaitable),
        **own,
    )
    result = found if not hasattr(found, "__await__") else await found
    errors = [(error.message, error.path, error.locations) for error in result.errors or []]
    return result.data, sorted(errors, key=str)


_documents: dict[str, Any] = {}


def parsed(document: str) -> Any:
    return _documents.setdefault(document, parse(document))


@given(_query, st.booleans())
@settings(max_examples=150, deadline=None)
async def test_any_document_gives_the_response_of_graphql_core(query: str, yes: bool) -> None:
    document = f"{query} {_PARTS}"
    if validate(schema._schema, parsed(document)):
        document = document.replace(_PARTS, "")
    if validate(schema._schema, parsed(document)):
        return
    reads: Reads = {}

    for also in (yes, not yes, yes):  # the second and third with the reads of the first
        assert await response(document, reads, also) == await response(document, None, also)


@pytest.mark.parametrize(
    ("fields", "resolved"),
    [
        ("id name tags colour at", 1),
        ("id ...Parts ... on Leaf { size }", 1),
        ("id shout", 1 + 5),
        ("id later", 1 + 5),
        ("id name @skip(if: $yes)", 1 + 5),
        ("id maybe @include(if: $yes)", 1),
    ],
)
async def test_only_fields_that_are_not_plain_are_resolved(
    monkeypatch: pytest.MonkeyPatch, fields: str, resolved: int
) -> None:
    """Every field that graphql-core resolves gets a resolve info."""
    infos = []
    build = StrawberryGraphQLCoreExecutionContext.build_resolve_info

    def count(*args: Any) -> Any:
        infos.append(args)
        return build(*args)

    monkeypatch.setattr(StrawberryGraphQLCoreExecutionContext, "build_resolve_info", count)
    parts = _PARTS if "Parts" in fields else ""

    await response(f"query Q($yes: Boolean!) {{ leaves {{ {fields} }} }} {parts}", {}, False)

    assert len(infos) == resolved


async def test_a_field_of_its_parent_s_own_type_is_not_taken_for_its_value() -> None:
    """`next` of a node is a node: field and value have the same type's name and the same node."""
    document = "{ nodes { next { next { name } shout } } }"

    result = await nested.execute(document)
    again = await nested.execute(document)

    assert result.data == again.data
    assert again.data == {"nodes": [{"next": {"next": {"name": "leaf"}, "shout": "leaf!"}}]}


@strawberry.type
class Node:
    name: str = "leaf"
    next: "Node | None" = None

    @strawberry.field
    def shout(self) -> str:
        return f"{self.name}!"


@strawberry.type
class NestedQuery:
    @strawberry.field
    def nodes(self) -> list[Node]:
        return [Node(next=Node(next=Node()))]


nested = build_schema(query=NestedQuery)
