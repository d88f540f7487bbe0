"""The end of an account: the user, and everything that is kept of him anywhere (TK-7, LA-4)."""

from datetime import datetime

from sqlalchemy import Connection

from ostiary.audit.origin import Origin
from ostiary.login.throttle import forget_user
from ostiary.users.accounts import delete_user


def close_account(connection: Connection, user_id: int, *, origin: Origin, now: datetime) -> None:
    """Remove a user with everything that belongs to him, for good. Raises NotFound, LastSuperuser.

    Most of it hangs on the user's row and goes with it: sessions, password, profile. What only names him goes here.
    """
    delete_user(connection, user_id, origin=origin, now=now)
    forget_user(connection, user_id)
