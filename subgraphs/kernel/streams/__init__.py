"""The event stream: its interface, the event envelope, and its two engines, Redis and Kafka."""
