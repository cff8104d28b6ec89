"""Integrations: the outside systems a site is connected to, and what they send.

Owns the entity `Integration` and the inbox of webhooks. Adds `integrations` to `Site`. Is the door
that shops knock at (`inbox`); what they sent is read by `sources` and put on the event stream by a
worker, which emits `order.created`.
"""
