"""Users are counted by blocks of 512 ids and groups of 128 blocks (`users/counting.py`), those of before included."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
compatible = False
tables = ("user_counts", "user_count_changes")
waits = "sign-ups, while the users are counted: a second for a million"


def upgrade() -> None:
    op.create_table(
        "user_counts",
        sa.Column("level", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("live", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("level", "number", name=op.f("pk_user_counts")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "user_count_changes",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(always=False), nullable=False
        ),
        sa.Column("block", sa.BigInteger(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_count_changes")),
    )
    if op.get_bind().dialect.name == "postgresql":
        # A sign-up under way in a server of before is waited for, and then counted.
        op.execute("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE")
    op.execute(
        "INSERT INTO user_counts (level, number, live) SELECT 0, id / 512, count(*) FROM users GROUP BY id / 512"
    )
    op.execute(
        "INSERT INTO user_counts (level, number, live) "
        "SELECT 1, number / 128, sum(live) FROM user_counts WHERE level = 0 GROUP BY number / 128"
    )


def downgrade() -> None:
    """Refuse: schema changes go forward only, and a backup is the way back."""
    raise NotImplementedError
