"""Which documents the gateway accepts, by the committed schema."""

from pathlib import Path

import pytest

from router.subscriptions.documents import DocumentParser, RequestRejected
from router.subscriptions.subgraph_query import AfterArgument
from subgraphs.kernel.config import SUBGRAPHS

PARSER = DocumentParser()
CLAIMS = "liveNotifications(siteKey: $key, after: $from)"


def rejection(query: str, operation_name: str | None = None) -> str:
    with pytest.raises(RequestRejected) as caught:
        PARSER.parse(query, operation_name)
    assert {error["extensions"]["code"] for error in caught.value.errors} == {"BAD_USER_INPUT"}
    return str(caught.value)


def test_the_subgraph_query_takes_after_and_returns_the_cursor() -> None:
    query = f"subscription Live($key: String!, $from: String) {{ claim: {CLAIMS} {{ text }} }}"

    parsed = PARSER.parse(query)

    assert parsed is not None
    assert (parsed.subgraph, parsed.response_key, parsed.variables) == (
        "notifications",
        "claim",
        ("key",),
    )
    assert parsed.after == AfterArgument("from")
    assert parsed.query == (
        "subscription Live($key: String!, $proofgraphAfter: String) {\n"
        "  claim: liveNotifications(siteKey: $key, after: $proofgraphAfter) {\n"
        "    text\n"
        "    proofgraphCursor: cursor\n"
        "  }\n"
        "}"
    )


def test_used_fragments_are_sent() -> None:
    query = """
    subscription($key: String!) { liveNotifications(siteKey: $key) { ...Claim } }
    query Other { me { id } }
    fragment Claim on Claim { text ...Where }
    fragment Where on Claim { url }
    """

    parsed = PARSER.parse(
        f"subscription Named{query.strip().removeprefix('subscription')}", "Named"
    )

    assert parsed is not None
    assert "fragment Claim" in parsed.query
    assert "fragment Where" in parsed.query
    assert "query Other" not in parsed.query


@pytest.mark.parametrize(
    ("after", "variables", "start"),
    [
        ('after: "17-3"', {}, (17, 3)),
        ("after: null", {}, None),
        ("after: $from", {"from": "17-3"}, (17, 3)),
        ("after: $from", {"from": None}, None),
        ("after: $from", {}, None),
    ],
)
def test_start_cursor(
    after: str, variables: dict[str, str | None], start: tuple[int, int] | None
) -> None:
    declared = "($from: String)" if "$from" in after else ""
    parsed = PARSER.parse(
        f'subscription{declared} {{ liveNotifications(siteKey: "k", {after}) {{ id }} }}'
    )

    assert parsed is not None
    assert parsed.start_cursor(variables) == start


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "17",
        "17-",
        "-3",
        "17-3-1",
        "a-b",
        "1" * 60 + "-0",
        "\u0661\u0662-\u0663",
        "1-\u0663",
        17,
    ],
)
def test_an_invalid_cursor_is_rejected(cursor: object) -> None:
    parsed = PARSER.parse(
        'subscription($from: String) { liveNotifications(siteKey: "k", after: $from) { id } }'
    )

    assert parsed is not None
    with pytest.raises(RequestRejected, match="must be the `cursor`"):
        parsed.start_cursor({"from": cursor})


def test_queries_and_mutations_are_left_to_the_router() -> None:
    assert PARSER.parse("{ plans { id } }") is None
    assert PARSER.parse("mutation { logOut }") is None


def test_invalid_documents_are_rejected() -> None:
    assert "Syntax Error" in rejection("subscription {")
    assert "Cannot query field 'nope'" in rejection("subscription { nope }")
    assert "operationName" in rejection("query A { plans { id } } query B { plans { id } }")
    assert "not through a fragment" in rejection(
        "subscription { ...F } fragment F on Subscription"
        ' { liveNotifications(siteKey: "k") { id } }'
    )


def test_fields_of_other_subgraphs_are_split_off() -> None:
    query = """
    subscription($key: String!) { liveNotifications(siteKey: $key) { text ...More } }
    fragment More on Claim { site { subscription { plan { id } } id } }
    """

    parsed = PARSER.parse(query)

    assert parsed is not None
    assert parsed.entities is not None
    assert [
        (part.selection.path, part.selection.query_field) for part in parsed.entities.entities
    ] == [(("liveNotifications", "site"), "site")]
    assert "subscription" not in parsed.query.removeprefix("subscription")
    assert "proofgraphEntityId: id" in parsed.query


def test_a_field_without_a_way_to_it_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "api.graphql").write_text(
        "type Query { a: Int } type Thing { id: ID! far: Int }"
        " type Claim { thing: Thing } type Subscription { live(after: String): Claim }"
    )
    for name in SUBGRAPHS:
        (tmp_path / f"{name}.graphql").write_text("type Query { a: Int }")
    (tmp_path / "notifications.graphql").write_text(
        "type Query { a: Int } type Thing { id: ID! } type Claim { thing: Thing }"
        " type Subscription { live(after: String): Claim }"
    )

    with pytest.raises(RequestRejected, match="Not available in this subscription, send a query"):
        DocumentParser(tmp_path).parse("subscription { live { thing { far } } }")


def test_documents_over_the_limits_are_rejected() -> None:
    deep = "{ me { accounts " + "{ members { user { accounts " * 5 + "{ id }" + "}}}" * 5 + "}}"
    wide = "{" + " ".join(f"a{n}: plans {{ id }}" for n in range(31)) + "}"
    long = "{" + "plans { id } " * 600 + "}"

    assert "levels deep" in rejection(deep)
    assert "aliases" in rejection(wide)
    assert "tokens" in rejection(long)


def test_repeated_fields_exceed_the_token_limit() -> None:
    again = "site { id } " * 150
    query = f'subscription {{ liveNotifications(siteKey: "k") {{ {again} }} }}'

    assert "more than 500 tokens" in rejection(query)
