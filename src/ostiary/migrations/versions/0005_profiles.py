"""What is known of users beside the contract's members: when the address was proven, the last login, and profiles."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
compatible = True
tables = ("users", "profiles")
waits = ""


def upgrade() -> None:
    op.add_column("users", sa.Column("email_verified_at", sa.BigInteger(), nullable=True))
    op.add_column("users", sa.Column("last_login_at", sa.BigInteger(), nullable=True))
    op.create_table(
        "profiles",
        sa.Column("user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("language", sa.String(length=35), nullable=True),
        sa.Column("metadata", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_profiles_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_profiles")),
    )


def downgrade() -> None:
    """Refuse: schema changes go forward only, and a backup is the way back."""
    raise NotImplementedError
