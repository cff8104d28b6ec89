"""Event streams on Kafka: the cluster's clients, group members, dedupe keys in Redis.

Owns everything that imports aiokafka. A process imports this package only when STREAM_URL begins
with kafka://.
"""
