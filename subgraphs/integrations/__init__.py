"""Integrations: the outside systems that a site is connected to, and their webhooks.

Owns the entity `Integration` and the inbox of webhooks. Adds `integrations` to `Site`. The webhook
receiver (`inbox/`) stores what shops send. A worker reads it with `sources/` and appends
`order.created` to the event stream.
"""
