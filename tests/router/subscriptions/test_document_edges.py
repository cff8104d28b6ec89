"""Documents that mean more than they say at first sight."""

import pytest

from router.subscriptions.documents import Documents, Refused

DOCUMENTS = Documents()


def test_a_default_of_the_clients_variable_is_where_it_begins() -> None:
    read = DOCUMENTS.read(
        'subscription($from: String = "17-3") {'
        ' liveNotifications(siteKey: "k", after: $from) { id } }'
    )

    assert read is not None
    assert read.begin({}) == (17, 3)
    assert read.begin({"from": "18-0"}) == (18, 0)
    assert read.begin({"from": None}) is None


def test_fragments_do_not_hide_how_deep_a_document_is() -> None:
    links = "".join(
        f"fragment F{n} on User {{ accounts {{ members {{ user {{ ...F{n + 1} }} }} }} }} "
        for n in range(8)
    )
    query = f"{{ me {{ ...F0 }} }} {links} fragment F8 on User {{ id }}"

    with pytest.raises(Refused, match="levels deep"):
        DOCUMENTS.read(query)


def test_what_is_written_differently_and_means_the_same_is_one_question() -> None:
    one = DOCUMENTS.read('subscription { liveNotifications(siteKey: "k") { id text } }')
    two = DOCUMENTS.read(
        '# a remark\nsubscription{liveNotifications(siteKey:"k",after:"17-3"){id,text}}'
    )

    assert one is not None
    assert two is not None
    assert one.query == two.query
