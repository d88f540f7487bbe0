"""The HTTP edge: reading requests strictly, answering them alike. Knows nothing of accounts."""
