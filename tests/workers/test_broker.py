"""Kombu's transport with our corrections, while the broker is down."""

from typing import Any

import pytest
from kombu import Exchange, Producer, Queue
from kombu.exceptions import OperationalError

from tests.fixtures.valkey import Valkey
from workers.broker import EagerConnection

QUEUE = Queue("work", Exchange("work"), "work")


def test_a_failed_acknowledgement_frees_its_slot(valkey: Valkey) -> None:
    with EagerConnection(valkey.url, transport_options={"max_retries": 1}) as connection:
        channel: Any = connection.channel()
        channel.basic_qos(0, 1, False)
        work = QUEUE.bind(channel)
        work.declare()
        Producer(channel).publish("one", exchange=QUEUE.exchange, routing_key="work")
        message = work.get()
        assert message is not None
        assert not channel.qos.can_consume()

        valkey.kill()
        with pytest.raises(connection.connection_errors):
            message.ack()

        assert channel.qos.can_consume()
        valkey.start()  # so that the channel can be closed


def test_reconnect_intervals(valkey: Valkey) -> None:
    valkey.kill()
    pauses: list[float] = []
    connection = EagerConnection(valkey.url)

    with pytest.raises(OperationalError):
        connection.ensure_connection(lambda _, pause: pauses.append(pause), 4)

    assert pauses == pytest.approx([0.2, 0.4, 0.6, 0.8])
