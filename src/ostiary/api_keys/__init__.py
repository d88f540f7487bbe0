"""API keys: credentials that programs use in the place of a person, and service accounts, whose only ones they are.

Owns the api_keys table, how a key is written and recognised, and what one may do: of what its owner may do at the
moment of use, only what its scopes name. A key is never a session: it makes no keys, and calls nothing that asks for
a session.

    live ──expires_at──▶ expired (judged at use)
      └──revoked, or its owner deactivated, deleted or recovered──▶ gone
"""
