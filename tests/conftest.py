"""What tests of every room may ask for."""

from tests.fixtures.kafka import kafka as kafka
from tests.fixtures.stores import stores as stores
from tests.fixtures.valkey import valkey as valkey
