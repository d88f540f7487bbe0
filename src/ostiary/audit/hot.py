"""The one statement that every login pays for the audit log (see `db/hot.py`)."""

from ostiary.audit.models import AuditRow
from ostiary.db.hot import Statement

_GIVEN_LATER = {"place", "link"}
_COLUMNS = [name for name in AuditRow._fields if name not in _GIVEN_LATER]

RECORD = Statement(
    f"INSERT INTO audit_log ({', '.join(_COLUMNS)}) "
    f"VALUES ({', '.join(f'?{number}' for number in range(1, len(_COLUMNS) + 1))})"
)
