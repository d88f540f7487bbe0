"""One user by id: the busiest reading, so in text (see `db/hot.py`)."""

from ostiary.db.hot import Lookup

_COLUMNS = "u.id, u.email, u.username, u.is_active, u.is_superuser, u.created_at, u.updated_at"

USER = Lookup(
    sqlite=f"SELECT {_COLUMNS} FROM users u WHERE u.id = ?",
    postgresql=(
        f"SELECT {_COLUMNS} FROM unnest($1::bigint[]) WITH ORDINALITY AS asked (id, n) "
        "LEFT JOIN users u ON u.id = asked.id ORDER BY asked.n"
    ),
)
