"""Column types, and the one place where all tables are registered."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Dialect, Integer, MetaData
from sqlalchemy.types import TypeDecorator

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""Every slice adds its tables here; migrations compare against it."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

# An id is 64 bits on both engines; SQLite gives out ids by itself only for a column declared INTEGER.
UserId = BigInteger().with_variant(Integer, "sqlite")


def to_milliseconds(moment: datetime) -> int:
    """Answer milliseconds since 1970 in UTC: how a moment is stored."""
    return (moment - EPOCH) // _MILLISECOND


def from_milliseconds(milliseconds: int) -> datetime:
    """Answer the aware UTC moment that was stored."""
    return EPOCH + milliseconds * _MILLISECOND


class Moment(TypeDecorator[datetime]):
    """A moment in time: aware UTC `datetime` in Python, whole milliseconds since 1970 in the database.

    An integer is the one form that both engines store, index and compare alike, without a time zone to lose.
    """

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """Turn a moment into what is stored."""
        return None if value is None else to_milliseconds(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Turn what is stored into a moment."""
        return None if value is None else from_milliseconds(value)
