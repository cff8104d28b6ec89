"""Fixtures of the ingest endpoint."""

from tests.fixtures.ingest import client as client
from tests.fixtures.ingest import door as door
from tests.fixtures.ingest import ingest_process as ingest_process
