"""The end of an account: the user, and everything that is kept of him anywhere (TK-7, LA-4)."""

from datetime import datetime

from sqlalchemy import Connection

from ostiary.audit.origin import Origin
from ostiary.crypto.sealed import Sealer
from ostiary.login.throttle import forget_user
from ostiary.mail.languages import choose_language
from ostiary.mail.messages import AccountDeleted
from ostiary.mail.outbox import enqueue, forget_mails
from ostiary.problems import NotFound
from ostiary.users.accounts import delete_user
from ostiary.users.acting import administrator_of
from ostiary.users.models import lock_user
from ostiary.users.profiles import language_of


def close_account(connection: Connection, user_id: int, *, sealer: Sealer, origin: Origin, now: datetime) -> None:
    """Remove a user with everything that belongs to him, for good. Raises NotFound, LastSuperuser.

    Most of it hangs on the user's row and goes with it: sessions, password, profile, roles, API keys. What only names
    him goes here. One last mail tells the address; its row, with the address sealed, goes when it has left.
    """
    user = lock_user(connection, user_id)
    if user is None:
        raise NotFound
    language = choose_language(language_of(connection, user_id))
    by = administrator_of(connection, user_id, origin)
    delete_user(connection, user_id, origin=origin, now=now)
    forget_user(connection, user_id)
    forget_mails(connection, user_id)
    is_own = origin.actor_id == user_id
    notice = AccountDeleted(
        username=user.username,
        at=now,
        by=by,
        source=origin.address if is_own else None,
        device=origin.user_agent if is_own else None,
    )
    enqueue(connection, notice, to=user.email, language=language, user_id=user_id, sealer=sealer, now=now)
