"""What every login pays for the audit log, and what gives many rows their places (see `db/hot.py`)."""

from ostiary.audit.models import AuditRow
from ostiary.db.hot import Change, Statement

_GIVEN_LATER = {"place", "link"}
_COLUMNS = [name for name in AuditRow._fields if name not in _GIVEN_LATER]

RECORD = Statement(
    f"INSERT INTO audit_log ({', '.join(_COLUMNS)}) "
    f"VALUES ({', '.join(f'?{number}' for number in range(1, len(_COLUMNS) + 1))})"
)

PLACES = Change(
    sqlite="UPDATE audit_log SET place = ?2, link = ?3 WHERE id = ?1",
    postgresql=(
        "UPDATE audit_log AS a SET place = c.place, link = c.link "
        "FROM unnest($1::text[], $2::bigint[], $3::bytea[]) AS c (id, place, link) WHERE a.id = c.id"
    ),
)
"""Gives rows their places in the chain."""
