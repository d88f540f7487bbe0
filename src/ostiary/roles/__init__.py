"""Roles: names for sets of permissions, and who has which of them.

Nobody confers what he does not hold (AD-4). What somebody holds is read at each request (`sessions/hot.py`), so a
change counts at once here, and in access tokens from the next login or refresh on.
"""
