"""The chain: rows get a place and a link, the head of the chain gets a seal, and anybody with the secret can verify it.

    row 1 ── link 1 = H(start, row 1) ── link 2 = H(link 1, row 2) ── … ── head: place n, link n, seal = HMAC(key, head)

Whoever changes, removes or slips in a row changes every link after it, and cannot seal the head anew. Seals are also
written to a file outside the database, so that putting back an older copy, head and all, shows too.
"""
