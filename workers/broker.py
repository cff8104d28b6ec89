"""Celery's broker, mended where kombu stands still or waits longer than it must."""

from typing import Any, Self

from celery.app import amqp
from kombu import Connection
from kombu.transport import redis, virtual

RECONNECT = {"interval_start": 0.2, "interval_step": 0.2, "interval_max": 2.0}
"""Seconds between tries to reach a broker that is away: the longest is what its return costs at
worst. Kombu's own grow to half a minute."""


class QoS(redis.QoS):
    """What a channel has in hand: an acknowledgement that is lost gives its place free.

    Kombu counts such a message as in hand for ever. Once every place is taken by one, the worker
    asks Redis for nothing more, so it does not see either that its connection has gone, and stands
    still until somebody kills it. The message is given out again, and every task may run twice.
    """

    def ack(self, delivery_tag: Any) -> None:
        try:
            super().ack(delivery_tag)
        except Exception:
            virtual.QoS.ack(self, delivery_tag)
            raise


class EagerConnection(Connection):
    """Looks often whether the broker is back."""

    def ensure_connection(self, *args: Any, **options: Any) -> Self:
        self._ensure_connection(*args, **{**RECONNECT, **options})
        return self


class AMQP(amqp.AMQP):
    Connection = EagerConnection


redis.Channel.QoS = QoS
