"""Encryption of the secrets shared with outside systems, before they are stored (AES-256-GCM)."""

import base64
import os

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from subgraphs.kernel.config import settings

_NONCE_BYTES = 12


def seal(secret: str, *, context: str) -> bytes:
    """Encrypt a secret.

    Args:
        context: the row's id, as associated data: the value decrypts in no other row.
    """
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + _cipher().encrypt(nonce, secret.encode(), context.encode())


def unseal(sealed: bytes, *, context: str) -> str:
    """Decrypt a value that `seal` made.

    Raises:
        cryptography.exceptions.InvalidTag: another key or context, or the value was altered.
    """
    nonce, body = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    return _cipher().decrypt(nonce, body, context.encode()).decode()


def _cipher() -> AESGCM:
    return AESGCM(base64.b64decode(settings().secrets_key.get_secret_value()))
