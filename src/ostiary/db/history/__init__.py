"""The history of the schema: what each of its revisions says of itself."""
