"""Which servers count requests in a PostgreSQL, so that one can know itself to be alone."""

from alembic import op

revision = "0014"
down_revision = "0013"
compatible = True
tables = ("counting_nodes",)
waits = ""


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE UNLOGGED TABLE counting_nodes (node text CONSTRAINT pk_counting_nodes PRIMARY KEY,"
            " is_alone boolean NOT NULL, beat_at timestamptz NOT NULL)"
        )


def downgrade() -> None:
    """Refuse: schema changes go forward only, and a backup is the way back."""
    raise NotImplementedError
