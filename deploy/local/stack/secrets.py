"""Passwords and keys of a state folder, generated once and readable by our user alone."""

import base64
import os
import secrets
from dataclasses import asdict, dataclass, fields

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from deploy.local.stack.state import State

_FILE = "secrets.json"


@dataclass(frozen=True)
class Secrets:
    """All passwords and keys; `environment.py` says which process gets which."""

    postgres_password: str
    owner_db_password: str
    app_db_password: str
    worker_db_password: str
    viewer_signing_key: str
    viewer_verify_key: str
    session_signing_key: str
    session_verify_key: str
    pii_key: str
    secrets_key: str


def load_secrets(state: State) -> Secrets:
    """The secrets of the state folder. Missing ones are generated and stored."""
    kept = state.read(_FILE) or {}
    known = {field.name for field in fields(Secrets)}
    made = asdict(_generate()) | {name: kept[name] for name in kept if name in known}
    if made != kept:
        state.write(_FILE, made)
    return Secrets(**made)


def _generate() -> Secrets:
    viewer_signing, viewer_verify = _key_pair()
    session_signing, session_verify = _key_pair()
    return Secrets(
        postgres_password=secrets.token_hex(16),
        owner_db_password=secrets.token_hex(16),
        app_db_password=secrets.token_hex(16),
        worker_db_password=secrets.token_hex(16),
        viewer_signing_key=viewer_signing,
        viewer_verify_key=viewer_verify,
        session_signing_key=session_signing,
        session_verify_key=session_verify,
        pii_key=_encode(os.urandom(32)),
        secrets_key=_encode(os.urandom(32)),
    )


def _key_pair() -> tuple[str, str]:
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return _encode(private), _encode(public)


def _encode(content: bytes) -> str:
    return base64.b64encode(content).decode()
