"""Billing: the available plans, and the plan of each site.

Adds `subscription` to `Site`. No payment provider is involved yet.
"""
