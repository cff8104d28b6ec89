"""Redis: the process's client, Lua scripts, a multiplexed connection, a cache, invalidation.

Only what any service may do with Redis lives here; event streams and live channels are packages of
their own that build on it.
"""

from subgraphs.kernel.redis.connection import ANSWER_SECONDS, client, connect, dispose, ping

__all__ = ["ANSWER_SECONDS", "client", "connect", "dispose", "ping"]
