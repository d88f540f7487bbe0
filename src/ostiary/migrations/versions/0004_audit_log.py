"""The audit log, where its chain stands, and whose personal data is still to be taken out of it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
compatible = False
tables = ("audit_log", "audit_chain", "audit_erasures")
waits = ""

USER_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.String(length=64), nullable=False),
        sa.Column("actor_id", USER_ID, nullable=True),
        sa.Column("user_id", USER_ID, nullable=True),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=True),
        sa.Column("user_agent", sa.String(length=256), nullable=True),
        sa.Column("salt", sa.LargeBinary(length=16), nullable=True),
        sa.Column("personal_digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=True),
        sa.Column("link", sa.LargeBinary(length=32), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
        sa.UniqueConstraint("place", name=op.f("uq_audit_log_place")),
    )
    op.create_index(op.f("ix_audit_log_user_id_id"), "audit_log", ["user_id", "id"])
    op.create_index(op.f("ix_audit_log_actor_id_id"), "audit_log", ["actor_id", "id"])
    op.create_index(op.f("ix_audit_log_event_id"), "audit_log", ["event", "id"])
    unplaced = sa.text("place IS NULL")
    op.create_index("ix_audit_log_unplaced", "audit_log", ["id"], sqlite_where=unplaced, postgresql_where=unplaced)
    op.create_table(
        "audit_chain",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("link", sa.LargeBinary(length=32), nullable=False),
        sa.Column("start_place", sa.BigInteger(), nullable=False),
        sa.Column("start_link", sa.LargeBinary(length=32), nullable=False),
        sa.Column("seal", sa.LargeBinary(length=32), nullable=False),
        sa.Column("sealed_with", sa.String(length=64), nullable=False),
        sa.Column("sealed_at", sa.BigInteger(), nullable=False),
        sa.Column("erased_before", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_chain")),
    )
    op.create_table(
        "audit_erasures",
        sa.Column("user_id", USER_ID, autoincrement=False, nullable=False),
        sa.Column("noted_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_audit_erasures")),
    )


def downgrade() -> None:
    """Refuse: schema changes go forward only, and a backup is the way back."""
    raise NotImplementedError
