"""Proving an address, and what a proven address is good for: verification, recovery, change of address, invitation.

Owns the mails that somebody asks for by naming an address, pending changes of address, and invitations. Every flow is a
machine of two states: a token is mailed (`credentials/mailed.py`), and a POST that presents it does what it is for. No
token does anything else, and no flow ends in a session (RC-2, RC-3).
"""
