"""Sessions: one sign-in on one device, with its family of refresh tokens and the access tokens made from it.

Owns the sessions table, the two token formats, rotation and the one gate. The session row is the authority: every
authenticated call reads it, so that ending a session is effective at once.

    live ──presented: current token──▶ live (next generation)
      │ ──presented: the one before, inside the window──▶ live (same answer again)
      │ ──presented: any other spent one──▶ revoked, durably, before the 401 leaves
      │ ──its user authenticates again──▶ live (a generation is skipped, so that no earlier token counts as a retry)
      └──log out, deactivation, limit of 100──▶ revoked;  idle or absolute limit──▶ expired (judged at use)
"""
