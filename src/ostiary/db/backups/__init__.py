"""Backups: one file that holds a whole installation but its secret, for either engine.

The file is gzip over lines of JSON. The first says what it is: which version made it, of which schema, when, under
which secret (its fingerprint), and how many rows each table has. Then come the tables, parents before their children:

    {"table": "users", "columns": [["id", "integer"], …], "last_id": 12}     what follows
    [[1, "ann@example.com", …], …]                                           up to 250 rows, in the order of the key
    {"end": "users", "rows": 12, "digest": "…"}                              SHA-256 of the lines of rows

and at last `{"end": "backup", "digest": …, "seal": …}`: SHA-256 of everything before, and its HMAC under a key of the
installation's secret. Moments are the integers that they are in the database, bytes are hexadecimal. Equal content
makes equal lines, whichever the engine; so what was loaded is compared with what was saved, digest by digest.
"""
