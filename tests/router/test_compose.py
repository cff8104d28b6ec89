"""Composing the graph, from the schemas that Strawberry writes."""

import re
from pathlib import Path

import pytest
from graphql import build_schema

from tests.fixtures.programs import ROOT
from tests.router.gateways import compose, tiny_supergraph


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tiny_supergraph(tmp_path)


def schema(config: Path, name: str) -> Path:
    return config.parent / "schema" / f"{name}.graphql"


def test_strawberry_schemas_compose(config: Path) -> None:
    done = compose(config)

    assert (done.returncode, done.stderr) == (0, "")
    supergraph = schema(config, "supergraph").read_text()
    assert '@join__graph(name: "users"' in supergraph
    assert '@link(url: "https://specs.apollo.dev/join/' in supergraph


def test_the_api_schema_is_plain_graphql_with_subscriptions(config: Path) -> None:
    compose(config)

    text = schema(config, "api").read_text()
    api = build_schema(text)
    assert "join__" not in text
    assert "_entities" not in text
    assert api.subscription_type is not None
    assert [*api.subscription_type.fields] == ["ticks"]
    person = api.get_type("Person")
    assert [*person.fields] == ["guarded", "id", "name", "shops", "takings"]  # type: ignore[union-attr]


def test_composition_is_deterministic(config: Path) -> None:
    compose(config)
    before = [schema(config, name).read_bytes() for name in ("supergraph", "api")]

    compose(config)

    assert [schema(config, name).read_bytes() for name in ("supergraph", "api")] == before


def test_check_accepts_composed_files_and_writes_nothing(config: Path) -> None:
    missing = compose("--check", config)
    assert missing.returncode == 1
    assert "supergraph.graphql is missing" in missing.stderr
    assert not schema(config, "supergraph").exists()

    compose(config)

    assert compose("--check", config).returncode == 0


def test_check_prints_the_differing_lines(config: Path) -> None:
    compose(config)
    users = schema(config, "users")
    users.write_text(users.read_text().replace("whoAmI: String!", "whoIsIt: String!"))

    checked = compose("--check", config)

    assert checked.returncode == 1
    assert "-   whoAmI: String!" in checked.stderr.splitlines()
    assert "+   whoIsIt: String!" in checked.stderr.splitlines()
    assert checked.stderr.rstrip().endswith("Run `make schema` and commit it.")


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        ("users", "name: String!\n}", "name: Nothing!\n}", "Unknown type Nothing"),
        ("sites", "type Person", "type Person {", "sites.graphql:"),
    ],
)
def test_composition_errors_are_printed_without_a_stack(
    config: Path, name: str, old: str, new: str, told: str
) -> None:
    path = schema(config, name)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))

    done = compose(config)

    assert done.returncode == 1
    assert told in done.stderr
    assert "    at " not in done.stderr  # no stack
    assert not schema(config, "supergraph").exists()


def test_input_errors_are_one_line(config: Path) -> None:
    schema(config, "users").rename(schema(config, "gone"))
    missing = compose(config)
    config.write_text(config.read_text().replace("=2.14.4", "=2.9.0"))
    version = compose(config)

    assert re.fullmatch(r".*users\.graphql cannot be read; .*\n", missing.stderr)
    assert version.stderr == "supergraph.yaml wants federation =2.9.0, installed is =2.14.4.\n"


def test_the_lock_file_has_no_registry_urls() -> None:
    lock = (ROOT / "router" / "package-lock.json").read_text()

    assert '"resolved"' not in lock
    assert '"integrity"' in lock
