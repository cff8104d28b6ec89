"""The whole of Proofgraph on one machine: real engines from packages under one supervisor.

    python -m deploy.local up | down | status | logs | env

setup     `make setup`: packages, the snippet's build, a browser; steps: what it is made of
tools     Node.js, Apollo Router, the home and the cache folder
problems  the error for a person at the terminal
engines/  PostgreSQL, Valkey, ClickHouse, Kafka, S3, Envoy: how each is unpacked and started
stack/    the processes: their list, environment, order, readiness, restarts and end
demo/     `make demo`: a demo merchant, a visitor in a browser, and orders
"""
