"""What every login asks and books, in text (see `db/hot.py`)."""

from ostiary.db.hot import Lookup, Statement

_CANDIDATE = (
    "u.id, u.email, u.username, u.is_active, u.is_superuser, u.created_at, u.updated_at, "
    "p.password_hash, p.pepper_id, k.seen_at, u.email_verified_at"
)
_JOINED = (
    "LEFT JOIN passwords p ON p.user_id = u.id LEFT JOIN known_places k ON k.user_id = u.id AND k.network = {network}"
)

CANDIDATE = Lookup(
    sqlite=f"SELECT {_CANDIDATE} FROM users u {_JOINED.format(network='?2')} WHERE u.email_key = ?1",
    postgresql=(
        f"SELECT {_CANDIDATE} FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS asked (email_key, network, n) "
        f"LEFT JOIN users u ON u.email_key = asked.email_key {_JOINED.format(network='asked.network')} ORDER BY asked.n"
    ),
)
"""A user, his password, and when he signed in from a network, by the key of his address and that network."""

CANDIDATE_BY_ID = Lookup(
    sqlite=f"SELECT {_CANDIDATE} FROM users u {_JOINED.format(network='?2')} WHERE u.id = ?1",
    postgresql=(
        f"SELECT {_CANDIDATE} FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS asked (id, network, n) "
        f"LEFT JOIN users u ON u.id = asked.id {_JOINED.format(network='asked.network')} ORDER BY asked.n"
    ),
)
"""The same by the user's id."""

BOOKED = Statement(
    "INSERT INTO login_throttles (subject, user_id, failures, strangers, refused, updated_at) "
    "VALUES (?1, ?2, '{}', 0, 0, ?3) "
    "ON CONFLICT (subject) DO UPDATE SET updated_at = ?3 RETURNING failures, strangers, refused"
)
"""Makes or locks an account's row, and answers what was booked before."""

BOOKING = Statement("UPDATE login_throttles SET failures = ?2, strangers = ?3, refused = ?4 WHERE subject = ?1")

FORGETTING = Statement("DELETE FROM login_throttles WHERE subject = ?1 AND failures = ?2 RETURNING subject")
"""Removes an account's row, unless something was booked since."""

ATTEMPTS_HELD = Statement(
    "SELECT t.failures, t.strangers FROM login_throttles t WHERE t.subject = ?1", locking="FOR UPDATE"
)

PLACE_SEEN = Statement(
    "INSERT INTO known_places (user_id, network, seen_at) VALUES (?1, ?2, ?3) "
    "ON CONFLICT (user_id, network) DO UPDATE SET seen_at = ?3"
)

ROOM_FOR_PLACE = Statement(
    "DELETE FROM known_places WHERE user_id = ?1 AND network IN ("
    "SELECT k.network FROM known_places k WHERE k.user_id = ?1 AND k.network <> ?2 "
    "ORDER BY k.seen_at DESC, k.network LIMIT 9223372036854775807 OFFSET ?3)"
)
"""Removes a user's places beside a new one: all but the given number of those seen last."""
