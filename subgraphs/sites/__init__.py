"""Sites: the shops of an account, each a tenant.

Owns the entity `Site` and the public site key, and keeps the kernel's directory of tenants and its
table of credentials true in the transaction that makes a site. Adds `sites` to `Account`.
"""
