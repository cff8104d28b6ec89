"""Who sends a request and what they may see.

Viewers, credentials, sessions, tenants, permissions and origins.
"""
