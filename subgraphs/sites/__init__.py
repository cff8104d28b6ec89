"""Sites: the shops of an account, each a tenant.

Owns the entity `Site` and the public site key. Writes the kernel's tenant directory and credentials
in the transaction that creates a site. Adds `sites` to `Account`.
"""
