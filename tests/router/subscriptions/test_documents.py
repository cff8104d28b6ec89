"""What the door takes, by the committed schema."""

import pytest

from router.subscriptions.documents import Documents, Refused
from router.subscriptions.rewriting import After

DOCUMENTS = Documents()
CLAIMS = "liveNotifications(siteKey: $key, after: $from)"


def refusal(query: str, operation_name: str | None = None) -> str:
    with pytest.raises(Refused) as caught:
        DOCUMENTS.read(query, operation_name)
    assert {error["extensions"]["code"] for error in caught.value.errors} == {"BAD_USER_INPUT"}
    return str(caught.value)


def test_the_owner_is_asked_with_a_cursor_in_and_a_cursor_out() -> None:
    query = f"subscription Live($key: String!, $from: String) {{ claim: {CLAIMS} {{ text }} }}"

    read = DOCUMENTS.read(query)

    assert read is not None
    assert (read.owner, read.response_key, read.variables) == ("notifications", "claim", ("key",))
    assert read.after == After("from")
    assert read.query == (
        "subscription Live($key: String!, $proofgraphAfter: String) {\n"
        "  claim: liveNotifications(siteKey: $key, after: $proofgraphAfter) {\n"
        "    text\n"
        "    proofgraphCursor: cursor\n"
        "  }\n"
        "}"
    )


def test_fragments_go_along_when_they_are_used() -> None:
    query = """
    subscription($key: String!) { liveNotifications(siteKey: $key) { ...Claim } }
    query Other { me { id } }
    fragment Claim on Claim { text ...Where }
    fragment Where on Claim { url }
    """

    read = DOCUMENTS.read(
        f"subscription Named{query.strip().removeprefix('subscription')}", "Named"
    )

    assert read is not None
    assert "fragment Claim" in read.query
    assert "fragment Where" in read.query
    assert "query Other" not in read.query


@pytest.mark.parametrize(
    ("after", "variables", "begin"),
    [
        ('after: "17-3"', {}, (17, 3)),
        ("after: null", {}, None),
        ("after: $from", {"from": "17-3"}, (17, 3)),
        ("after: $from", {"from": None}, None),
        ("after: $from", {}, None),
    ],
)
def test_where_a_client_begins(
    after: str, variables: dict[str, str | None], begin: tuple[int, int] | None
) -> None:
    declared = "($from: String)" if "$from" in after else ""
    read = DOCUMENTS.read(
        f'subscription{declared} {{ liveNotifications(siteKey: "k", {after}) {{ id }} }}'
    )

    assert read is not None
    assert read.begin(variables) == begin


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
def test_what_is_no_cursor_is_refused(cursor: object) -> None:
    read = DOCUMENTS.read(
        'subscription($from: String) { liveNotifications(siteKey: "k", after: $from) { id } }'
    )

    assert read is not None
    with pytest.raises(Refused, match="must be a cursor"):
        read.begin({"from": cursor})


def test_queries_and_mutations_are_the_routers() -> None:
    assert DOCUMENTS.read("{ plans { id } }") is None
    assert DOCUMENTS.read("mutation { logOut }") is None


def test_what_does_not_fit_is_refused() -> None:
    assert "Syntax Error" in refusal("subscription {")
    assert "Cannot query field 'nope'" in refusal("subscription { nope }")
    assert "operationName" in refusal("query A { plans { id } } query B { plans { id } }")
    assert "not through a fragment" in refusal(
        "subscription { ...F } fragment F on Subscription"
        ' { liveNotifications(siteKey: "k") { id } }'
    )


def test_fields_of_other_subgraphs_are_to_be_queried() -> None:
    message = refusal(
        'subscription { liveNotifications(siteKey: "k") { notification { site { name } } } }'
    )

    assert message.startswith("This part cannot be followed live, ask for it with a query")


def test_documents_past_the_limits_are_refused() -> None:
    deep = "{ me { accounts " + "{ members { user { accounts " * 5 + "{ id }" + "}}}" * 5 + "}}"
    wide = "{" + " ".join(f"a{n}: plans {{ id }}" for n in range(31)) + "}"
    long = "{" + "plans { id } " * 600 + "}"

    assert "levels deep" in refusal(deep)
    assert "aliases" in refusal(wide)
    assert "tokens" in refusal(long)


def test_a_document_that_repeats_itself_is_too_long() -> None:
    again = "site { id } " * 150
    query = f'subscription {{ liveNotifications(siteKey: "k") {{ {again} }} }}'

    assert "more than 500 tokens" in refusal(query)
