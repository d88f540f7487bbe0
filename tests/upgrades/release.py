"""The next release, as far as the schema goes: this code with one revision more on top."""

from pathlib import Path

import pytest

from ostiary.clock import SystemClock
from ostiary.db import Database, schema
from ostiary.settings import Settings
from tests.db.opened import on_database

NEXT = "test_next"

ADDS = """
    op.add_column("users", sa.Column("shown_as", sa.Text(), nullable=True))
    op.add_column("sessions", sa.Column("device", sa.String(64), server_default="unknown", nullable=False))
    op.create_table("devices", sa.Column("id", sa.Integer(), primary_key=True), sa.Column("name", sa.Text()))
    op.create_index("ix_users_shown_as", "users", ["shown_as"])
"""
"""What an older server can live with."""


def become_next(
    monkeypatch: pytest.MonkeyPatch, directory: Path, *bodies: str, declares: str = "compatible = False"
) -> None:
    """Make this process the next release: its newest revision, on top of ours, does what the given text says."""
    versions = directory / "versions"
    versions.mkdir()
    head = f'"""Something new."""\nimport sqlalchemy as sa\nfrom alembic import op\n\n{declares}\n'
    numbers = f"revision, down_revision = {NEXT!r}, {schema.HEAD!r}"
    (versions / "next.py").write_text(f"{head}{numbers}\n\n\ndef upgrade():{''.join(bodies)}")
    monkeypatch.setattr(schema, "VERSIONS", (*schema.VERSIONS, str(versions)))
    monkeypatch.setattr(schema, "HEAD", NEXT)


def upgrade(settings: Settings) -> bool:
    """What a start does to the schema."""

    async def run(database: Database) -> bool:
        return await schema.upgrade_schema(database, settings, now=SystemClock().now())

    return on_database(settings, run)


def revision(settings: Settings) -> str | None:
    """The revision that a database is at."""
    return on_database(settings, lambda database: database.read(schema.current_revision))
