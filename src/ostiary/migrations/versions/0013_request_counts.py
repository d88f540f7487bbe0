"""Where servers that share a PostgreSQL count requests together."""

from alembic import op

revision = "0013"
down_revision = "0012"
compatible = True
tables = ("request_counts",)
waits = ""


def upgrade() -> None:
    # With SQLite there is one server, which counts in its memory. Unlogged: what it holds may vanish (ST-2). Room in
    # each page, so that a row can change where it is.
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE UNLOGGED TABLE request_counts (key text CONSTRAINT pk_request_counts PRIMARY KEY,"
            " hit_limit integer NOT NULL, window_seconds integer NOT NULL, slots bigint[] NOT NULL,"
            " counts integer[] NOT NULL, served integer NOT NULL, admitted integer NOT NULL, tick bigint NOT NULL)"
            " WITH (fillfactor = 50)"
        )


def downgrade() -> None:
    """Refuse: schema changes go forward only, and a backup is the way back."""
    raise NotImplementedError
