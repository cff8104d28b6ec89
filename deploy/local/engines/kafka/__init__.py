"""A Kafka broker on this machine: one JVM with jars from Maven, its own controller (KRaft)."""
