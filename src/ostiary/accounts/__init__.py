"""One's own account: reading and changing it, and its end.

Joins all that hangs on a user, so it stands above the slices that own the parts; it has no tables of its own. Whoever
ends an account, its owner, an administrator or the command line, does so through `closing.close_account`.
"""
