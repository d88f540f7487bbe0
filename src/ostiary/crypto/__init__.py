"""Secrets, sealing and tokens. The only package that touches keys; it knows nothing of requests or the database.

secret   the installation's one secret and what is derived from it
sealed   values that must be readable again, encrypted for their place in the database
opaque   random tokens and ids, and the hashes they are stored as
jose     signed tokens: made, and checked strictly; jwk their keys, base64url their letters
"""
