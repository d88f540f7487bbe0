"""Moving users in and out: reading and writing files of users, and importing them in steps that survive a kill.

A file is JSON Lines or CSV, one user a line. An import takes it chunk by chunk; each chunk is one transaction, which
also says how far the import has come.
"""
