"""Signing keys: made, published, used, retired. Owns the signing_keys table, the JWKS and the installation's identity.

    published ──activates_at──▶ signing ──a later key activates──▶ kept for checking ──its last token ended──▶ gone
        └──────────────revoke─────┴──────────────revoke────────────────┴──▶ revoked: refused at once

What a key is at a moment follows from stored times alone (`schedule.py`); nothing has to be switched on or off.
"""
