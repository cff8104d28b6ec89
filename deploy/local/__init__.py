"""The whole of Proofgraph on one machine: real engines from packages, one supervisor over all.

    python -m deploy.local up | down | status | logs | env

problems     what can stand in the way, each with how to mend it
state        the state folder: who runs on it, what it tells others
ports        free ports of this state, and the one public port
secrets      passwords and keys of this state
tools        Node, the router's binary, the cache they live in
postgres     valkey  clickhouse/  envoy     the engines
arrangement  which stack is wanted; settings: what each process is told
processes    the list of processes
process      what a process is; readiness: when it is ready
keeper       keeps one process alive; supervisor: all of them, in order
sentinel     ends what a killed supervisor would leave behind
supervise    the supervisor as a process; stack: the same from Python, for demo and tests
"""
