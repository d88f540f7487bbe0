"""The audit log: what was done to accounts, sessions and keys, by whom and from where (LA-3).

A row is written in the transaction of the act it speaks of. The server gives rows their place in a chain afterwards and
seals it, so that a row that is changed, removed or slipped in later shows.
"""
