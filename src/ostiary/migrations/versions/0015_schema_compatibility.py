"""The database says how old a server may be that works with it, so that servers can be upgraded one after the other."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
compatible = True
tables = ("schema_compatibility",)
waits = ""


def upgrade() -> None:
    op.create_table(
        "schema_compatibility",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("oldest_server", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schema_compatibility")),
    )


def downgrade() -> None:
    """Refuse: schema changes go forward only, and a backup is the way back."""
    raise NotImplementedError
