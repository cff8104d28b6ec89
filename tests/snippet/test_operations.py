"""Every GraphQL operation of the snippet and the pages is valid against the public schema."""

import re
from pathlib import Path

import pytest
from graphql import build_schema, parse, validate

ROOT = Path(__file__).parents[2]
FILES = sorted(ROOT.glob("snippet/graphiql/examples/*.graphql")) + sorted(
    ROOT.glob("snippet/demo/queries/*.graphql")
)


def _snippet_query() -> str:
    source = (ROOT / "snippet/src/index.ts").read_text()
    found = re.search(r'"(subscription\(.*)";', source)
    assert found
    return found[1]


@pytest.mark.parametrize(
    "document",
    [_snippet_query(), *(path.read_text() for path in FILES)],
    ids=["snippet", *(f"{path.parent.parent.name}-{path.stem}" for path in FILES)],
)
def test_is_valid(document: str) -> None:
    schema = build_schema((ROOT / "schema/api.graphql").read_text())
    assert validate(schema, parse(document)) == []
