"""What a worker has in hand when its broker dies."""

from typing import Any

import pytest
from kombu import Connection, Exchange, Producer, Queue

from tests.fixtures.valkey import Valkey
from workers import broker

QUEUE = Queue("work", Exchange("work"), "work")


def test_a_message_whose_acknowledgement_is_lost_is_no_longer_in_hand(valkey: Valkey) -> None:
    broker.mend()
    with Connection(valkey.url, transport_options={"max_retries": 1}) as connection:
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
