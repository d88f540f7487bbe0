"""The one statement that every login pays for the audit log (see `db/hot.py`)."""

from ostiary.db.hot import Statement

RECORD = Statement(
    "INSERT INTO audit_log (id, at, event, actor_id, user_id, origin, request_id, details, address, user_agent, salt, "
    "personal_digest) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
)
