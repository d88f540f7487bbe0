"""One user by id, and pages of users: the busiest readings, so in text (see `db/hot.py`)."""

from ostiary.db.hot import Lookup, Stretches

_COLUMNS = "u.id, u.email, u.username, u.is_active, u.is_superuser, u.created_at, u.updated_at"

USER = Lookup(
    sqlite=f"SELECT {_COLUMNS} FROM users u WHERE u.id = ?",
    postgresql=(
        f"SELECT {_COLUMNS} FROM unnest($1::bigint[]) WITH ORDINALITY AS asked (id, n) "
        "LEFT JOIN users u ON u.id = asked.id ORDER BY asked.n"
    ),
)

USERS_FROM = Stretches(
    sqlite=f"SELECT {_COLUMNS} FROM users u WHERE u.id >= ?1 ORDER BY u.id LIMIT ?3 OFFSET ?2",
    postgresql=(
        f"SELECT asked.n, u.* FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) WITH ORDINALITY "
        "AS asked (first, left_out, most, n) CROSS JOIN LATERAL "
        f"(SELECT {_COLUMNS} FROM users u WHERE u.id >= asked.first ORDER BY u.id "
        "OFFSET asked.left_out LIMIT asked.most) AS u ORDER BY asked.n, u.id"
    ),
)
"""Users in the order of their ids: from an id on, after leaving out some, so many at most."""
