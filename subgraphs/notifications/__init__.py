"""Notifications: what a merchant shows, its wording, and the claims made of it.

Owns the entities `Notification`, `Claim`, `ABTest` and `ABTestVariant`, and the templates. Adds
`notifications` to `Site`, and lets a storefront follow its claims live. Hears `order.created`
(through the stream worker, which calls the service); what becomes of claims is told by analytics.
"""
