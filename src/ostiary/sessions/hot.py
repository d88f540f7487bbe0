"""Who presents an access token: asked for every authenticated request, so in text (see `db/lookup.py`)."""

from ostiary.db.lookup import Lookup

_COLUMNS = "u.id, s.user_id, u.is_active, u.is_superuser, s.revoked_at, s.revoked_because, s.expires_at, s.last_used_at"

CALLER = Lookup(
    sqlite=f"SELECT {_COLUMNS} FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = ?",
    postgresql=(
        f"SELECT {_COLUMNS} FROM unnest($1::text[]) WITH ORDINALITY AS asked (id, n) "
        "LEFT JOIN sessions s ON s.id = asked.id LEFT JOIN users u ON u.id = s.user_id ORDER BY asked.n"
    ),
)
"""By a session's id. A session without its user, which the tables do not allow, is none."""
