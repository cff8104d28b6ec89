"""The event stream on Kafka."""
