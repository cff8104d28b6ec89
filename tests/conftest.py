"""Fixtures that every test may use, and which tests are unit tests."""

import pytest

import subgraphs.kernel.logging  # noqa: F401 - structlog writes to the standard loggers
from tests.fixtures.kafka import kafka as kafka
from tests.fixtures.stores import stores as stores
from tests.fixtures.valkey import valkey as valkey

_STARTS_PROCESSES = {"stores", "valkey", "kafka", "browser", "built_snippet"}
"""Fixtures behind which real servers run."""

_STARTS_PROCESSES_ITSELF = (
    "tests/chaos/",
    "tests/deploy/",
    "tests/journeys/",
    "tests/router/test_",
    "tests/snippet/",
    "tests/workers/",
)
"""Tests that start servers of their own, by the beginning of their path."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group the tests for pytest-xdist, and mark the unit tests, which `make check` runs.

    The tests of a file share its fixtures, so one process runs them, unless a fixture that files
    share has a group of its own.
    """
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.location[0]))
        fixtures = set(getattr(item, "fixturenames", ()))
        if not fixtures & _STARTS_PROCESSES and not item.nodeid.startswith(
            _STARTS_PROCESSES_ITSELF
        ):
            item.add_marker(pytest.mark.unit)
