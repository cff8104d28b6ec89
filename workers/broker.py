"""Celery's broker, mended: an acknowledgement that does not reach Redis gives its place free.

Kombu counts such a message as in hand for ever. Once every place is taken by one, the worker asks
Redis for nothing more, so it does not see either that its connection has gone, and stands still
until somebody kills it. The message itself is given out again, and every task may run twice.
"""

from typing import Any

from kombu.transport import redis, virtual


class QoS(redis.QoS):
    """What a channel has in hand."""

    def ack(self, delivery_tag: Any) -> None:
        try:
            super().ack(delivery_tag)
        except Exception:
            virtual.QoS.ack(self, delivery_tag)
            raise


def mend() -> None:
    """Have every channel of this process use it."""
    redis.Channel.QoS = QoS
