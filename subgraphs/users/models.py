"""The tables of users: people, their accounts, and the keys that encrypt their personal data."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from subgraphs.kernel.db import Base


class Account(Base):
    """A merchant's organisation."""

    __tablename__ = "accounts"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class EncryptionKey(Base):
    """An account's data key, encrypted with a key that is not in the database."""

    __tablename__ = "encryption_keys"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    wrapped_key: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class User(Base):
    """A person.

    `email` and `full_name` are write-only: a trigger encrypts them into `*_encrypted` and sets
    these two to NULL. The functions `get_user_email` and `get_user_full_name` read them."""

    __tablename__ = "users"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    email: Mapped[str | None]
    full_name: Mapped[str | None]
    email_encrypted: Mapped[bytes | None]
    email_encryption_key_id: Mapped[UUID] = mapped_column(ForeignKey("encryption_keys.id"))
    full_name_encrypted: Mapped[bytes | None]
    full_name_encryption_key_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("encryption_keys.id")
    )
    hashed_password: Mapped[str | None]
    preferred_language: Mapped[str] = mapped_column(server_default="en")
    preferred_timezone: Mapped[str] = mapped_column(server_default="UTC")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Member(Base):
    """A user's role in an account."""

    __tablename__ = "members"

    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), primary_key=True)
    role: Mapped[str]
    joined_at: Mapped[datetime] = mapped_column(server_default=func.now())
