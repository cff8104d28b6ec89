"""Lists of plain objects have the response that graphql-core's own execution gives."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import strawberry
from graphql import ExecutionResult
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
    values = {
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
