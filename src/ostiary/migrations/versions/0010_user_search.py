"""Users can be searched: indexes by class and order, and keys that PostgreSQL too compares by their bytes."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
compatible = True
tables = ("users", "user_roles")
waits = "whoever writes users, while indexes are built: some seconds for a million"


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        # Rebuilds the indexes of the keys, not the table: some seconds for a million users.
        op.execute(
            'ALTER TABLE users ALTER COLUMN email_key TYPE VARCHAR(254) COLLATE "C", '
            'ALTER COLUMN username_key TYPE VARCHAR(64) COLLATE "C"'
        )
    op.drop_index("ix_user_roles_role", table_name="user_roles")
    op.create_index("ix_user_roles_role_user_id", "user_roles", ["role", "user_id"])
    op.drop_index("ix_users_is_superuser", table_name="users")
    op.create_index("ix_users_class", "users", ["is_active", "is_superuser", "id"])
    op.create_index("ix_users_class_created_at", "users", ["is_active", "is_superuser", "created_at", "id"])
    for key in ("email_key", "username_key"):
        op.create_index(
            f"ix_users_unusual_{key}",
            "users",
            ["is_active", "is_superuser", key],
            sqlite_where=sa.text("is_active = 0 OR is_superuser = 1"),
            postgresql_where=sa.text("NOT is_active OR is_superuser"),
        )


def downgrade() -> None:
    """Refuse: schema changes go forward only, and a backup is the way back."""
    raise NotImplementedError
