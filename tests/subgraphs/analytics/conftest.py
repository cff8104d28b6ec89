"""The door, for the tests that knock at it."""

from tests.fixtures.ingest import client as client
from tests.fixtures.ingest import ingest as ingest
from tests.fixtures.ingest import ingest_process as ingest_process
