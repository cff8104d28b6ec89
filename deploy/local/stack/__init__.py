"""The supervisor of the local stack.

Owns: the list of processes, their order, readiness, restarts and end; ports, secrets, the
environment of each process, and the state folder.
May enter: whatever applies to every process or to the stack as a whole.
Must not enter: how one engine is installed or configured (`engines/`), and the demo.
"""
