"""Users: people, the accounts they are members of, and how they log in.

Owns the entities `User` and `Account`. PostgreSQL encrypts personal data under keys that come with
each transaction; this is the one domain that is given them.
"""
