"""Lists of plain objects have the response that graphql-core's own execution gives."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
import strawberry
from graphql import ExecutionResult
from hypothesis import given
from hypothesis import strategies as st
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from subgraphs.kernel.graphql.plain_lists import PlainListExecutor
from subgraphs.kernel.graphql.types import SCALARS, BigInt

pytestmark = pytest.mark.unit


@strawberry.type
class Counts:
    shown: BigInt
    clicked: BigInt | None


@strawberry.type
class Tag:
    name: str


@strawberry.type
class Point:
    start: datetime
    counts: Counts
    best: Counts | None
    tags: list[Tag]
    rates: list[float | None] | None

    @strawberry.field
    def label(self) -> str:
        return f"{self.start:%H} o'clock"

    @strawberry.field
    async def later(self) -> int:
        return 7


def point(hour: int, **changed: Any) -> Point:
    values: dict[str, Any] = {
        "start": datetime(2026, 1, 2, hour, tzinfo=UTC),
        "counts": Counts(shown=BigInt(2**40 + hour), clicked=None),
        "best": Counts(shown=BigInt(1), clicked=BigInt(2)) if hour % 2 else None,
        "tags": [Tag(name=f"t{number}") for number in range(hour)],
        "rates": [0.5, None] if hour else None,
    }
    return Point(**(values | changed))


@strawberry.type
class Query:
    points: list[Point]
    optional: list[Point | None] | None


PLAIN = [
    "{ points { start } }",
    "{ points { __typename at: start counts { shown n: shown clicked __typename } } }",
    "{ points { best { shown } tags { name } rates } optional { start best { clicked } } }",
    "{ points { ...P ... on Point { start } } } fragment P on Point { start counts { shown } }",
    "query($no: Boolean = false) { points { start best @include(if: $no) { shown } } }",
    "{ points { tags { name } tags { again: name } } }",
]
NOT_PLAIN = [
    "{ points { start label } }",
    "{ points { later counts { shown } } }",
    "{ points { start @skip(if: true) } }",
]


async def execute(executor: type[Any], document: str, root: Query) -> ExecutionResult:
    config = StrawberryConfig(scalar_map=SCALARS)
    schema = strawberry.Schema(Query, execution_context_class=executor, config=config)
    return await schema.execute(document, root_value=root)  # type: ignore[return-value]


async def assert_equal(document: str, root: Query) -> ExecutionResult:
    """Execute with both executors and compare data, its order, and errors."""
    ours = await execute(PlainListExecutor, document, root)
    stock = await execute(StrawberryGraphQLCoreExecutionContext, document, root)
    assert repr(ours.data) == repr(stock.data)
    assert [error.formatted for error in ours.errors or []] == [
        error.formatted for error in stock.errors or []
    ]
    return ours


@pytest.mark.parametrize("document", [*PLAIN, *NOT_PLAIN])
async def test_the_response_is_that_of_graphql_core(document: str) -> None:
    root = Query(points=[point(hour) for hour in range(5)], optional=[None, point(1), None])

    answer = await assert_equal(document, root)

    assert answer.errors is None


@pytest.mark.parametrize("document", PLAIN)
async def test_plain_selections_take_the_short_cut(
    document: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise AssertionError("graphql-core completed the list")

    monkeypatch.setattr(StrawberryGraphQLCoreExecutionContext, "complete_iterable_value", fail)
    root = Query(points=[point(1), point(2)], optional=[None, point(1)])

    answer = await execute(PlainListExecutor, document, root)

    assert answer.errors is None


@pytest.mark.parametrize(
    "changed",
    [
        {"start": None},
        {"start": "not a time"},
        {"counts": None},
        {"counts": Counts(shown=None, clicked=None)},  # type: ignore[arg-type]
        {"best": Counts(shown="many", clicked=None)},  # type: ignore[arg-type]
        {"best": ValueError("broken")},
        {"tags": [None]},
        {"tags": None},
        {"rates": 5},
        {"counts": object()},
    ],
)
async def test_errors_are_those_of_graphql_core(changed: dict[str, Any]) -> None:
    root = Query(points=[point(1), point(2)], optional=[point(1), point(2, **changed)])
    document = "{ optional { start counts { shown clicked } best { shown } tags { name } rates } }"

    answer = await assert_equal(document, root)

    assert answer.errors


async def test_tuples_and_other_iterables_are_left_to_graphql_core() -> None:
    root = Query(points=(point(1), point(2)), optional=None)  # type: ignore[arg-type]

    await assert_equal("{ points { start } optional { start } }", root)


FIELDS: dict[str, dict[str, str | None]] = {
    "Point": {
        **dict.fromkeys(("start", "rates", "label", "later", "__typename")),
        **{"counts": "Counts", "best": "Counts", "tags": "Tag"},
    },
    "Counts": dict.fromkeys(("shown", "clicked", "__typename")),
    "Tag": dict.fromkeys(("name", "__typename")),
}


def selections(type_: str) -> st.SearchStrategy[str]:
    """Selection sets of a type, with aliases, fragments and directives."""
    fields = st.one_of([_field(name, below) for name, below in FIELDS[type_].items()])
    inline = fields.map(lambda field: f"... on {type_} {{ {field} }}")
    nodes = st.lists(fields | inline, min_size=1, max_size=5)
    return nodes.map(lambda found: f"{{ {' '.join(found)} }}")


def _field(name: str, below: str | None) -> st.SearchStrategy[str]:
    alias = st.sampled_from(["", f"{name.strip('_')}2: "])
    directive = st.sampled_from(["", "", "", " @skip(if: true)", " @include(if: true)"])
    children = selections(below) if below else st.just("")
    return st.tuples(alias, directive, children).map(lambda it: f"{it[0]}{name}{it[1]} {it[2]}")


@given(document=selections("Point"), nulls=st.sets(st.sampled_from(["counts", "best", "rates"])))
def test_generated_selections_have_the_response_of_graphql_core(
    document: str, nulls: set[str]
) -> None:
    values = [point(1), point(2, **dict.fromkeys(nulls)), None]
    root = Query(points=[point(3)], optional=values)

    asyncio.run(assert_equal(f"{{ points {document} optional {document} }}", root))
