"""Event streams on Redis: appends, group membership, offsets, entries in flight.

Owns the key names and the Lua scripts of the streams. Nothing outside `streams/` may rely on them.
"""
