"""The real engines from packages, and the process of each.

Owns: PostgreSQL, Valkey, ClickHouse, Kafka, S3, Envoy, and the build of Apollo Router.
May enter: a module that turns a state folder and ports into a `Process`, or fetches a program.
Must not enter: order, restarts and readiness over several processes (`stack/`), and the demo.
"""
