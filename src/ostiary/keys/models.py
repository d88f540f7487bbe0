"""The tables: signing keys with sealed private parts, and the fingerprint of the secret that sealed them."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, Connection, Integer, LargeBinary, String, Table, Text, select

from ostiary.db.types import Moment, metadata

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("kid", String(32), primary_key=True),
    # Two nodes that both find that a key is due make the same number: one of them wins.
    Column("number", Integer, nullable=False, unique=True),
    Column("algorithm", String(16), nullable=False),
    Column("public_jwk", Text, nullable=False),
    Column("sealed_private_jwk", LargeBinary, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("activates_at", Moment, nullable=False),
    Column("revoked_at", Moment),
)

installation = Table(
    "installation",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("secret_fingerprint", String(64), nullable=False),
    Column("created_at", Moment, nullable=False),
)


@dataclass(frozen=True, slots=True)
class StoredKey:
    """One row: when the key is what, and its material, the private part sealed."""

    kid: str
    number: int
    algorithm: str
    public_jwk: str
    sealed_private_jwk: bytes
    created_at: datetime
    activates_at: datetime
    revoked_at: datetime | None


def all_keys(connection: Connection) -> list[StoredKey]:
    """Answer every key that is still stored, the oldest first."""
    return [StoredKey(*row) for row in connection.execute(select(signing_keys).order_by(signing_keys.c.number))]
