"""The event stream on Redis."""
