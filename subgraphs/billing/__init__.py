"""Billing: the plans there are, and the plan each site is on.

Adds `subscription` to `Site`. What is chosen is kept here alone; no payment provider is asked.
"""
