"""Fixtures of the ingest endpoint."""

from tests.fixtures.ingest import client as client
from tests.fixtures.ingest import ingest as ingest
from tests.fixtures.ingest import ingest_process as ingest_process
