"""What every login asks and books, in text (see `db/hot.py`)."""

from ostiary.db.hot import Lookup, Statement

_CANDIDATE = (
    "u.id, u.email, u.username, u.is_active, u.is_superuser, u.created_at, u.updated_at, p.password_hash, p.pepper_id"
)

CANDIDATE = Lookup(
    sqlite=(f"SELECT {_CANDIDATE} FROM users u LEFT JOIN passwords p ON p.user_id = u.id WHERE u.email_key = ?"),
    postgresql=(
        f"SELECT {_CANDIDATE} FROM unnest($1::text[]) WITH ORDINALITY AS asked (email_key, n) "
        "LEFT JOIN users u ON u.email_key = asked.email_key LEFT JOIN passwords p ON p.user_id = u.id ORDER BY asked.n"
    ),
)
"""A user and his password, by the key of his address."""

BOOKED = Statement(
    "INSERT INTO login_throttles (subject, source, attempts, refused, updated_at) VALUES (?1, ?2, '[]', 0, ?3) "
    "ON CONFLICT (subject, source) DO UPDATE SET updated_at = ?3 RETURNING attempts, refused"
)
"""Makes or locks a pair's row, and answers what was booked before."""

BOOKING = Statement("UPDATE login_throttles SET attempts = ?3, refused = ?4 WHERE subject = ?1 AND source = ?2")

FORGETTING = Statement("DELETE FROM login_throttles WHERE subject = ?1 AND source = ?2")
