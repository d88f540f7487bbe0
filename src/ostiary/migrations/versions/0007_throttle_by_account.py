"""All that is counted against guessing is one row for each account; the places that accounts signed in from.

What was counted for single sources is dropped: it would have mattered for half an hour at most.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
compatible = False
tables = ("login_throttles", "known_places")
waits = ""

_USER_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.drop_table("login_throttles")
    op.create_table(
        "login_throttles",
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("user_id", _USER_ID, nullable=True),
        sa.Column("failures", sa.Text(), nullable=False),
        sa.Column("strangers", sa.Integer(), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_login_throttles")),
    )
    op.create_index(op.f("ix_login_throttles_updated_at"), "login_throttles", ["updated_at"], unique=False)
    op.create_table(
        "known_places",
        sa.Column("user_id", _USER_ID, nullable=False),
        sa.Column("network", sa.String(length=64), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_known_places_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", "network", name=op.f("pk_known_places")),
    )
    op.create_index(op.f("ix_known_places_seen_at"), "known_places", ["seen_at"], unique=False)


def downgrade() -> None:
    """Refuse: schema changes go forward only, and a backup is the way back."""
    raise NotImplementedError
