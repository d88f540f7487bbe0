"""Exporting users, a page at a time in the order of their ids.

Each page is one snapshot. A user is in the export at most once, and certainly if he was there when it began and is
there still; changes made meanwhile may be in it or not.
"""

from typing import Any, NamedTuple

from sqlalchemy import Connection

from ostiary.credentials.models import passwords_between
from ostiary.roles.models import roles_of_users
from ostiary.transfer.checking import MEMBERS
from ostiary.users.listing import users_after
from ostiary.users.profiles import profiles_between
from ostiary.users.schemas import timestamp


class Page(NamedTuple):
    """Some users in a row, as files have them."""

    items: list[dict[str, Any]]
    last_id: int
    bound: int
    """How many of them have a password under a pepper of this installation, which is worth nothing elsewhere."""


def members_of_export(*, with_passwords: bool) -> list[str]:
    """Answer what an export says of each user, in order."""
    return [name for name in MEMBERS if with_passwords or name != "password_hash"]


def export_page(connection: Connection, after_id: int, *, limit: int, with_passwords: bool) -> Page:
    """Answer the next users after an id; none are left where the page is empty."""
    found = users_after(connection, after_id, limit=limit)
    if not found:
        return Page([], after_id, 0)
    stored = passwords_between(connection, found[0].id, found[-1].id) if with_passwords else {}
    beside = profiles_between(connection, found[0].id, found[-1].id)
    roles = roles_of_users(connection, [user.id for user in found])
    items = []
    bound = 0
    for user in found:
        password = stored.get(user.id)
        movable = password.password_hash if password is not None and password.pepper_id is None else None
        bound += password is not None and movable is None
        items.append(
            {
                "email": user.email,
                "username": user.username,
                "password_hash": movable,
                "is_active": user.is_active,
                "is_superuser": user.is_superuser,
                "email_verified": beside[user.id].email_verified,
                "language": beside[user.id].language,
                "metadata": beside[user.id].metadata or None,
                "roles": roles.get(user.id),
                "created_at": timestamp(user.created_at),
            }
        )
    return Page(items, found[-1].id, bound)
