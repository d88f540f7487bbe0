"""Who presents an API key: asked for every call that a program makes (see `db/hot.py`)."""

from ostiary.db.hot import Lookup
from ostiary.sessions.hot import HELD_ROLES

_COLUMNS = (
    "u.id, k.user_id, u.is_active, u.is_superuser, k.key_hash, k.scopes, k.expires_at, k.last_used_at, "
    "u.email_verified_at"
)

KEY_CALLER = Lookup(
    sqlite=(
        f"SELECT {_COLUMNS}, (SELECT group_concat(r.permissions, ' ') {HELD_ROLES}u.id) "
        "FROM api_keys k JOIN users u ON u.id = k.user_id WHERE k.id = ?"
    ),
    postgresql=(
        f"SELECT {_COLUMNS}, (SELECT string_agg(r.permissions, ' ') {HELD_ROLES}u.id) "
        "FROM unnest((SELECT $1::text[])) WITH ORDINALITY AS asked (id, n) "
        "LEFT JOIN api_keys k ON k.id = asked.id LEFT JOIN users u ON u.id = k.user_id ORDER BY asked.n"
    ),
)
"""By a key's id: how key and owner stand, and what the owner's roles permit, NULL where he has none. A key without its
owner, which the tables do not allow, is none. The sub-select is there for the reason that `sessions/hot.py` gives."""
