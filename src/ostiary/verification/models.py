"""The tables of verification: mails that were asked for, and changes of address and invitations that wait for proof."""

from sqlalchemy import Column, ForeignKey, Identity, String, Table, Text

from ostiary.db.types import Moment, UserId, metadata

mail_requests = Table(
    "mail_requests",
    metadata,
    Column("id", UserId, Identity(always=False), primary_key=True),
    Column("wanted", String(32), nullable=False),
    Column("email_key", String(254), nullable=False),
    Column("source", String(64), nullable=False),
    Column("address", String(64), nullable=False),
    Column("user_agent", String(256), nullable=False),
    Column("request_id", String(128), nullable=False),
    Column("language", String(35)),
    Column("requested_at", Moment, nullable=False),
    sqlite_autoincrement=True,  # two workers may have read the same row: its id must never mean another
)
"""One row for each request, whatever address it names; the worker takes it away within moments."""

email_changes = Table(
    "email_changes",
    metadata,
    Column("user_id", UserId, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("new_email", String(254), nullable=False),
    Column("requested_at", Moment, nullable=False),
)
"""The address that a user would like to have, until he proves it or names another."""

invitations = Table(
    "invitations",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("email", String(254), nullable=False),
    Column("email_key", String(254), nullable=False, unique=True),
    Column("username", String(64)),
    Column("roles", Text, nullable=False),
    Column("invited_by", UserId, ForeignKey("users.id", ondelete="CASCADE"), index=True),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False, index=True),
)
"""Who may join though sign-up is not open. An invitation goes with whoever made it."""
