"""How far each import of a file of users has come, so that one which was cut off goes on where it was."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
compatible = True
tables = ("user_imports",)
waits = ""


def upgrade() -> None:
    op.create_table(
        "user_imports",
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("lines", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("added", sa.BigInteger(), nullable=False),
        sa.Column("rejected", sa.BigInteger(), nullable=False),
        sa.Column("rejects_bytes", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("fingerprint", name=op.f("pk_user_imports")),
    )


def downgrade() -> None:
    """Refuse: schema changes go forward only, and a backup is the way back."""
    raise NotImplementedError
