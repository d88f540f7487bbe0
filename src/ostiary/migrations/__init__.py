"""The history of the schema: one line of Alembic revisions for both engines. See `db/schema.py`."""
