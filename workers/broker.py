"""Corrections to kombu's Redis transport: lost acknowledgements and slow reconnects."""

from typing import Any, Self

from celery.app import amqp
from kombu import Connection
from kombu.transport import redis, virtual

RECONNECT = {"interval_start": 0.2, "interval_step": 0.2, "interval_max": 2.0}
"""Seconds between attempts to reach an unavailable broker. The maximum is the longest delay after
the broker's return; kombu's default grows to half a minute."""


class QoS(redis.QoS):
    """Unacknowledged messages of a channel: a failed acknowledgement frees its slot.

    Kombu counts such a message as unacknowledged for ever. Once each slot holds one, the worker
    reads nothing more from Redis. It does not notice either that its connection is closed, and
    hangs until it is killed. Redis delivers the message again, and every task may run twice.
    """

    def ack(self, delivery_tag: Any) -> None:
        try:
            super().ack(delivery_tag)
        except Exception:
            virtual.QoS.ack(self, delivery_tag)
            raise


class EagerConnection(Connection):
    """Reconnects at the intervals of `RECONNECT`."""

    def ensure_connection(self, *args: Any, **options: Any) -> Self:
        self._ensure_connection(*args, **{**RECONNECT, **options})
        return self


class AMQP(amqp.AMQP):
    Connection = EagerConnection


redis.Channel.QoS = QoS
