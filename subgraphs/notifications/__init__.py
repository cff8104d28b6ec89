"""Notifications: what a merchant shows, its template, and the claims made from events.

Owns the entities `Notification`, `Claim`, `ABTest` and `ABTestVariant`, and the templates. Adds
`notifications` to `Site`, and lets a storefront subscribe to its claims. The stream worker passes
`order.created` events to `claim_rendering`. Analytics records what visitors do with claims.
"""
