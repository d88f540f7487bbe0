"""Passwords of many users at once, when they are moved in with hashes that are ready."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ARRAY, BigInteger, Connection, Text, column, func, insert, literal, select

from ostiary.credentials.models import passwords
from ostiary.db.types import Moment, to_milliseconds


def add_passwords(connection: Connection, hashes: Sequence[tuple[int, str]], *, now: datetime) -> None:
    """Store the password hashes of users who have just been added, many at once; none is under a pepper."""
    if not hashes:
        return
    if connection.dialect.name != "postgresql":
        moment = to_milliseconds(now)
        connection.exec_driver_sql(
            "INSERT INTO passwords (user_id, password_hash, updated_at) VALUES (?, ?, ?)",
            [(user_id, password_hash, moment) for user_id, password_hash in hashes],
        )
        return
    ids, texts = zip(*hashes, strict=True)
    given = (
        func.unnest(literal(list(ids), ARRAY(BigInteger)), literal(list(texts), ARRAY(Text)))
        .table_valued(column("user_id", BigInteger), column("password_hash", Text), name="given")
        .render_derived()
    )
    new = select(given.c.user_id, given.c.password_hash, literal(now, Moment))
    connection.execute(insert(passwords).from_select(["user_id", "password_hash", "updated_at"], new))
