"""The supervisor of the local stack: its processes, ports, settings and state."""
