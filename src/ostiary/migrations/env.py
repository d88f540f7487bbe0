"""How Alembic runs here: on a connection and in a transaction that `db/schema.py` hands over."""

from alembic import context

from ostiary.db.types import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transaction_per_migration=False,
)
context.run_migrations()
