"""Event streams: the interface, the event envelope, the dedupe keys, and two engines.

Owns how events travel from producers to groups of consumers. `redis/` and `kafka/` implement
`interface.Streams`; `event_streams` opens the engine that STREAM_URL names. An engine's key names,
Lua scripts and client calls belong here; what an event means belongs to the domains.
"""
