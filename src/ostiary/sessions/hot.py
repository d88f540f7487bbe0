"""Who presents an access token, and the rotation of refresh tokens: the busiest statements (see `db/hot.py`)."""

from ostiary.db.hot import Change, Lookup, Selection, Statement
from ostiary.sessions.models import sessions

HELD_ROLES = "FROM user_roles h JOIN roles r ON r.name = h.role WHERE h.user_id = "
"""The roles of a user, whose id follows."""
_COLUMNS = (
    "u.id, s.user_id, u.is_active, u.is_superuser, s.revoked_at, s.revoked_because, s.expires_at, s.last_used_at, "
    "s.authenticated_at, u.email_verified_at"
)

CALLER = Lookup(
    sqlite=(
        f"SELECT {_COLUMNS}, (SELECT group_concat(r.permissions, ' ') {HELD_ROLES}u.id) "
        "FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = ?"
    ),
    postgresql=(
        f"SELECT {_COLUMNS}, (SELECT string_agg(r.permissions, ' ') {HELD_ROLES}u.id) "
        "FROM unnest((SELECT $1::text[])) WITH ORDINALITY AS asked (id, n) "
        "LEFT JOIN sessions s ON s.id = asked.id LEFT JOIN users u ON u.id = s.user_id ORDER BY asked.n"
    ),
)
"""By a session's id: how session and user stand, and what the user's roles permit, NULL where he has none. A session
without its user, which the tables do not allow, is none. On PostgreSQL the sub-select hides from the planner how many
ids there are: otherwise each call seems to deserve a plan of its own, and making that takes longer than the answer."""

_HELD = (
    "s.id, s.user_id, s.created_at, s.authenticated_at, s.amr, s.address, s.user_agent, s.last_used_at, s.generation, "
    "s.refresh_hash, s.rotated_at, s.refresh_expires_at, s.expires_at, s.revoked_at, s.revoked_because, "
    "u.id, u.is_active, u.email_verified_at, u.is_superuser"
)
_ROLES_SQLITE = f"(SELECT group_concat(r.name || ' ' || r.permissions, ',') {HELD_ROLES}u.id)"
_ROLES_POSTGRESQL = f"(SELECT string_agg(r.name || ' ' || r.permissions, ',') {HELD_ROLES}u.id)"

HELD_FOR_CHANGE = Selection(
    sqlite=(
        f"SELECT {_HELD}, {_ROLES_SQLITE} FROM sessions s JOIN users u ON u.id = s.user_id "
        "WHERE s.id IN (SELECT value FROM json_each(?))"
    ),
    postgresql=(
        f"SELECT {_HELD}, {_ROLES_POSTGRESQL} FROM sessions s JOIN users u ON u.id = s.user_id "
        "WHERE s.id = ANY($1::text[]) ORDER BY s.id FOR UPDATE OF s"
    ),
)
"""Sessions with their users as `held_from_stored` wants to know them, locked in the order of ids. SQLite has one
writer, so what it reads stays as it is."""

ROTATION = Change(
    sqlite=(
        "UPDATE sessions SET generation = ?2, refresh_hash = ?3, rotated_at = ?4, refresh_expires_at = ?5, "
        "last_used_at = ?6, revoked_at = ?7, revoked_because = ?8 WHERE id = ?1"
    ),
    postgresql=(
        "UPDATE sessions AS s SET generation = c.generation, refresh_hash = c.refresh_hash, "
        "rotated_at = c.rotated_at, refresh_expires_at = c.refresh_expires_at, last_used_at = c.last_used_at, "
        "revoked_at = c.revoked_at, revoked_because = c.revoked_because "
        "FROM unnest($1::text[], $2::int[], $3::bytea[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], "
        "$8::text[]) AS c (id, generation, refresh_hash, rotated_at, refresh_expires_at, last_used_at, revoked_at, "
        "revoked_because) WHERE s.id = c.id"
    ),
)
"""What a rotation, or a replay, leaves in a session."""

USER_FOR_SESSION = Statement(
    "UPDATE users SET last_login_at = ?2 WHERE id = ?1 RETURNING id, is_active, email_verified_at, is_superuser"
)
"""Locks the user whose session is about to begin, notes the login, and answers what the gate asks of him. The moment as
it is: SQLite 3.40 has answered `IS NOT NULL` with true for NULL in RETURNING."""

ROLES_FOR_SESSION = Statement(f"SELECT r.name || ' ' || r.permissions {HELD_ROLES}?1")
"""A user's roles, each with what it permits: `name permission permission`."""

NEW_SESSION = Statement(
    f"INSERT INTO sessions ({', '.join(sessions.columns.keys())}) "
    f"VALUES ({', '.join(f'?{number}' for number in range(1, len(sessions.columns) + 1))})"
)

ROOM_FOR_SESSION = Statement(
    "UPDATE sessions SET revoked_at = ?3, revoked_because = ?4 WHERE id IN ("
    "SELECT s.id FROM sessions s WHERE s.user_id = ?1 AND s.id <> ?2 AND s.revoked_at IS NULL AND s.expires_at > ?3 "
    "ORDER BY s.created_at DESC, s.id LIMIT 9223372036854775807 OFFSET ?5)"
)
"""Ends a user's oldest live sessions beside a new one: all but the given number of the newest."""
