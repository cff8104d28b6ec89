"""Composition of the supergraph from the schemas that Strawberry exports."""

import re
from pathlib import Path

import pytest
from graphql import build_schema

from tests.fixtures.programs import ROOT
from tests.router.gateways import compose, tiny_supergraph


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A folder's supergraph.yaml over the tiny subgraphs, not composed yet."""
    return tiny_supergraph(tmp_path)


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, composed once for tests that change nothing."""
    config = tiny_supergraph(tmp_path_factory.mktemp("composed"))
    done = compose(config)
    assert (done.returncode, done.stderr) == (0, "")
    return config


def schema(config: Path, name: str) -> Path:
    return config.parent / "schema" / f"{name}.graphql"


def test_strawberry_schemas_compose(composed: Path) -> None:
    supergraph = schema(composed, "supergraph").read_text()
    assert '@join__graph(name: "users"' in supergraph
    assert '@link(url: "https://specs.apollo.dev/join/' in supergraph


def test_the_api_schema_is_plain_graphql_with_subscriptions(composed: Path) -> None:
    text = schema(composed, "api").read_text()
    api = build_schema(text)
    assert "join__" not in text
    assert "_entities" not in text
    assert api.subscription_type is not None
    assert [*api.subscription_type.fields] == ["ticks"]
    person = api.get_type("Person")
    assert [*person.fields] == ["guarded", "id", "name", "shops", "takings"]  # type: ignore[union-attr]


def test_check_composes_the_same_bytes_again(composed: Path) -> None:
    assert compose("--check", composed).returncode == 0


def test_check_reports_missing_files_and_writes_nothing(config: Path) -> None:
    missing = compose("--check", config)

    assert missing.returncode == 1
    assert "supergraph.graphql is missing" in missing.stderr
    assert not schema(config, "supergraph").exists()


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
    ("name", "old", "new", "message"),
    [
        ("users", "name: String!\n}", "name: Nothing!\n}", "Unknown type Nothing"),
        ("sites", "type Person", "type Person {", "sites.graphql:"),
    ],
)
def test_composition_errors_are_printed_without_a_stack(
    config: Path, name: str, old: str, new: str, message: str
) -> None:
    path = schema(config, name)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))

    done = compose(config)

    assert done.returncode == 1
    assert message in done.stderr
    assert "    at " not in done.stderr  # no stack
    assert not schema(config, "supergraph").exists()


def test_input_errors_are_one_line(config: Path) -> None:
    schema(config, "users").rename(schema(config, "missing"))
    missing = compose(config)
    config.write_text(config.read_text().replace("=2.14.4", "=2.9.0"))
    version = compose(config)

    assert re.fullmatch(r".*users\.graphql cannot be read; run .*\n", missing.stderr)
    assert version.stderr == (
        "supergraph.yaml pins federation_version =2.9.0, but =2.14.4 is installed; pin that one.\n"
    )


def test_the_lock_file_has_no_registry_urls() -> None:
    lock = (ROOT / "router" / "package-lock.json").read_text()

    assert '"resolved"' not in lock
    assert '"integrity"' in lock
