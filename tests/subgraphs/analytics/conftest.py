"""The door, for the tests that knock at it."""

from tests.fixtures.door import client as client
from tests.fixtures.door import door as door
from tests.fixtures.door import door_process as door_process
