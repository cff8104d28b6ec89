"""A Kafka broker on this machine: one JVM from Maven's jars, its own controller (KRaft)."""
