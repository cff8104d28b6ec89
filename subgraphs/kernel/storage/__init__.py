"""Stores beside PostgreSQL and Redis: ClickHouse, S3 objects, and PostgreSQL's advisory locks.

Owns the clients and the translation of their errors. What is stored belongs to the domains.
"""
