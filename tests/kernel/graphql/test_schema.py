"""Caches, limits and error codes, on a schema of a few fields."""

import logging
from collections.abc import AsyncIterator
from datetime import datetime

import pytest
import strawberry
from sqlalchemy import text

from subgraphs.kernel import db
from subgraphs.kernel.errors import BadUserInput
from subgraphs.kernel.graphql.limits import MAX_ALIASES, MAX_DEPTH
from subgraphs.kernel.graphql.schema import build_schema
from subgraphs.kernel.identity.viewer import NOBODY


@strawberry.type
class Node:
    name: str = "leaf"

    @strawberry.field
    def next(self) -> "Node":
        return Node()


@strawberry.type
class Query:
    @strawberry.field
    def node(self) -> Node:
        return Node()

    @strawberry.field
    def year(self, at: datetime) -> int:
        return at.year

    @strawberry.field
    def refused(self) -> str:
        raise BadUserInput("`name` is too long.")

    @strawberry.field
    async def slow(self) -> str:
        async with db.read_session(NOBODY) as session:
            await session.execute(text("SET LOCAL statement_timeout = 10"))
            await session.execute(text("SELECT pg_sleep(5)"))
        return "late"

    @strawberry.field
    def broken(self) -> str:
        raise RuntimeError("password=hunter2")


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def falters(self) -> AsyncIterator[int]:
        yield 1
        raise RuntimeError("password=hunter2")


schema = build_schema(query=Query, subscription=Subscription)


async def errors_of(document: str, **variables: object) -> list[tuple[str, object]]:
    result = await schema.execute(document, variable_values=variables)
    return [(error.message, (error.extensions or {})["code"]) for error in result.errors or []]


async def test_an_expected_error_keeps_its_message_and_gets_its_code() -> None:
    assert await errors_of("{ refused }") == [("`name` is too long.", "BAD_USER_INPUT")]


@pytest.mark.usefixtures("stores")
async def test_a_cancelled_statement_advises_a_smaller_request() -> None:
    message = "The query takes too long: request a shorter time range or a smaller page."

    assert await errors_of("{ slow }") == [(message, "UNAVAILABLE")]


async def test_an_unexpected_error_is_masked_and_found_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR):
        result = await schema.execute("{ broken }")

    assert result.errors is not None
    (error,) = result.errors
    assert error.message == "Internal error; report its `errorId` to support."
    assert error.extensions is not None
    assert error.extensions["code"] == "INTERNAL"
    assert str(error.extensions["errorId"]) in caplog.text
    assert "hunter2" not in str(error.formatted)


async def test_a_subscription_that_breaks_is_masked_too() -> None:
    results = [
        (result.data, [error.message for error in result.errors or []])
        async for result in await schema.subscribe("subscription { falters }")
    ]

    assert results == [
        ({"falters": 1}, []),
        (None, ["Internal error; report its `errorId` to support."]),
    ]


async def test_an_invalid_document_is_bad_user_input() -> None:
    assert [code for _, code in await errors_of("{ nothing }")] == ["BAD_USER_INPUT"]
    assert [code for _, code in await errors_of("{ node { ")] == ["BAD_USER_INPUT"]


@pytest.mark.parametrize("at", ["9999-12-31T24:00:00Z", "9999-W53-7T00:00:00Z"])
async def test_a_time_out_of_range_is_bad_user_input(at: str) -> None:
    message = f'Value cannot represent a DateTime: "{at}". date value out of range'

    assert await errors_of(f'{{ year(at: "{at}") }}') == [(message, "BAD_USER_INPUT")]
    assert await errors_of("query($at: DateTime!) { year(at: $at) }", at=at) == [
        (f"Variable '$at' has invalid value: {message}", "BAD_USER_INPUT")
    ]
    assert (await schema.execute('{ year(at: "9999-12-31T23:59:59Z") }')).data == {"year": 9999}
    assert [code for _, code in await errors_of('{ year(at: "soon") }')] == ["BAD_USER_INPUT"]


@pytest.mark.parametrize(
    "document",
    [
        "{ node " + "{ next " * MAX_DEPTH + "{ name }" + "}" * (MAX_DEPTH + 1),
        "{" + " ".join(f"a{n}: node {{ name }}" for n in range(MAX_ALIASES + 1)) + "}",
        "{" + "node { name } " * 600 + "}",
    ],
    ids=["depth", "aliases", "tokens"],
)
async def test_a_document_beyond_the_limits_is_rejected_and_not_executed(document: str) -> None:
    result = await schema.execute(document)

    assert result.data is None
    assert result.errors
    assert {(error.extensions or {})["code"] for error in result.errors} == {"BAD_USER_INPUT"}


async def test_nested_fragments_are_visited_once() -> None:
    links = " ".join(f"fragment F{n} on Node {{ ...F{n + 1} ...F{n + 1} }}" for n in range(40))

    result = await schema.execute(f"{{ node {{ ...F0 }} }} {links} fragment F40 on Node {{ name }}")

    assert (result.data, result.errors) == ({"node": {"name": "leaf"}}, None)


async def test_fragments_hide_neither_depth_nor_aliases() -> None:
    deep = " ".join(f"fragment F{n} on Node {{ next {{ ...F{n + 1} }} }}" for n in range(MAX_DEPTH))
    wide = " ".join(f"a{n}: next {{ ...F }}" for n in range(8))

    assert await errors_of(
        f"{{ node {{ ...F0 }} }} {deep} fragment F{MAX_DEPTH} on Node {{ name }}"
    ) == [("The document is 14 levels deep; at most 12 are allowed.", "BAD_USER_INPUT")]
    assert await errors_of(
        f"{{ node {{ {wide} }} }} fragment F on Node {{ a: name b: name c: name }}"
    ) == [("The document has 32 aliases; at most 30 are allowed.", "BAD_USER_INPUT")]


async def test_cyclic_and_undefined_fragments_are_bad_user_input() -> None:
    assert await errors_of("{ node { ...A } } fragment A on Node { next { ...A } }") == [
        ("Cannot spread fragment 'A' within itself.", "BAD_USER_INPUT")
    ]
    assert await errors_of("{ node { ...A } }") == [("Unknown fragment 'A'.", "BAD_USER_INPUT")]


async def test_a_document_within_the_limits_is_executed() -> None:
    result = await schema.execute("{ node { next { name } } }")

    assert (result.data, result.errors) == ({"node": {"next": {"name": "leaf"}}}, None)
