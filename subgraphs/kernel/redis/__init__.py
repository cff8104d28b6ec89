"""Redis: the process's client, Lua scripts, a multiplexed connection, a cache, invalidation.

Owns what any service may do with Redis, and knows no domain, no stream and no viewer. The event
streams and the live channels are packages of their own that build on this one.
"""

from subgraphs.kernel.redis.connection import ANSWER_SECONDS, client, connect, dispose, ping

__all__ = ["ANSWER_SECONDS", "client", "connect", "dispose", "ping"]
