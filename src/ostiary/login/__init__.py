"""Getting in: sign-up, login with a password, the first superuser, and the throttle against guessing.

Joins users, credentials and sessions, which do not know each other. Every login ends in `sessions.beginning`.
"""
