"""Mails that are asked for, changes of address, invitations; and whose a one-time token is."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
compatible = True
tables = ("one_time_tokens", "mail_requests", "email_changes", "invitations", "reserved_usernames")
waits = ""

USER_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    # Until now the table has held nothing but the set-up tokens of the last days, so there is little to rebuild.
    with op.batch_alter_table("one_time_tokens") as batch:
        batch.add_column(sa.Column("user_id", USER_ID, nullable=True))
        batch.create_foreign_key(op.f("fk_one_time_tokens_user_id"), "users", ["user_id"], ["id"], ondelete="CASCADE")
    op.create_index(op.f("ix_one_time_tokens_subject_purpose"), "one_time_tokens", ["subject", "purpose"])
    op.create_index(op.f("ix_one_time_tokens_user_id"), "one_time_tokens", ["user_id"])
    _make_mail_requests()
    _make_email_changes_and_invitations()
    op.create_table(
        "reserved_usernames",
        sa.Column("username_key", sa.String(length=64), nullable=False),
        sa.Column("reserved_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("username_key", name=op.f("pk_reserved_usernames")),
    )


def _make_mail_requests() -> None:
    op.create_table(
        "mail_requests",
        sa.Column("id", USER_ID, sa.Identity(always=False), nullable=False),
        sa.Column("wanted", sa.String(length=32), nullable=False),
        sa.Column("email_key", sa.String(length=254), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("user_agent", sa.String(length=256), nullable=False),
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.Column("language", sa.String(length=35), nullable=True),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mail_requests")),
        sqlite_autoincrement=True,
    )


def _make_email_changes_and_invitations() -> None:
    op.create_table(
        "email_changes",
        sa.Column("user_id", USER_ID, autoincrement=False, nullable=False),
        sa.Column("new_email", sa.String(length=254), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_email_changes_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_email_changes")),
    )
    op.create_table(
        "invitations",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("email_key", sa.String(length=254), nullable=False),
        sa.Column("username", sa.String(length=64), nullable=True),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("invited_by", USER_ID, nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["invited_by"], ["users.id"], name=op.f("fk_invitations_invited_by"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitations")),
        sa.UniqueConstraint("email_key", name=op.f("uq_invitations_email_key")),
    )
    op.create_index(op.f("ix_invitations_invited_by"), "invitations", ["invited_by"])
    op.create_index(op.f("ix_invitations_expires_at"), "invitations", ["expires_at"])


def downgrade() -> None:
    """Refuse: schema changes go forward only, and a backup is the way back."""
    raise NotImplementedError
