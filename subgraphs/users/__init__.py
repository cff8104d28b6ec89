"""Users: people, the accounts they are members of, and log-in.

Owns the entities `User` and `Account`. PostgreSQL encrypts personal data with a key that each
transaction passes in; only this domain has the key.
"""
