"""DocumentParser that mean more than they say at first sight."""

import pytest

from router.subscriptions.documents import DocumentParser, RequestRejected

PARSER = DocumentParser()


def test_the_default_of_the_after_variable_is_used() -> None:
    parsed = PARSER.parse(
        'subscription($from: String = "17-3") {'
        ' liveNotifications(siteKey: "k", after: $from) { id } }'
    )

    assert parsed is not None
    assert parsed.start_cursor({}) == (17, 3)
    assert parsed.start_cursor({"from": "18-0"}) == (18, 0)
    assert parsed.start_cursor({"from": None}) is None


def test_fragments_count_towards_the_depth_limit() -> None:
    links = "".join(
        f"fragment F{n} on User {{ accounts {{ members {{ user {{ ...F{n + 1} }} }} }} }} "
        for n in range(8)
    )
    query = f"{{ me {{ ...F0 }} }} {links} fragment F8 on User {{ id }}"

    with pytest.raises(RequestRejected, match="levels deep"):
        PARSER.parse(query)


def test_formatting_and_after_do_not_change_the_subgraph_query() -> None:
    one = PARSER.parse('subscription { liveNotifications(siteKey: "k") { id text } }')
    two = PARSER.parse(
        '# a remark\nsubscription{liveNotifications(siteKey:"k",after:"17-3"){id,text}}'
    )

    assert one is not None
    assert two is not None
    assert one.query == two.query
