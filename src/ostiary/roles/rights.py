"""What somebody may do at the moment of an act, and what that lets him do to others (AD-4).

    who acts ── rights_now ──▶ Rights ─┬─ check_may_confer: gives nothing that he does not hold himself
                                       └─ check_may_write_to: leaves alone who may do more than he

Both are asked in the transaction of the act, so that nobody acts by rights that were taken from him a moment before.
"""

from typing import TypeAlias

from sqlalchemy import Connection, select

from ostiary.problems import Forbidden
from ostiary.roles.models import rights_of, roles, user_roles
from ostiary.users.models import users
from ostiary.web.caller import Caller
from ostiary.web.permissions import NO_RIGHTS, Permission, Rights

By: TypeAlias = Caller | Rights
"""Who acts: a caller, whose rights are read again; or rights that were read in the same transaction, or are the
operator's at the command line, who has all (`ALL_RIGHTS`)."""


class RightsExceeded(Forbidden):
    """It would take rights that the caller does not hold himself (AD-4)."""

    detail = "This takes rights that you do not have"
    code = "rights_exceeded"


def rights_now(connection: Connection, by: By, permission: Permission) -> Rights:
    """Answer what whoever acts may do, once it is certain that he still has the permission.

    A caller who acts through less than all that he may do (an API key) has no more than that. What he rests on is
    locked: who takes it from him waits for this transaction, or was there before it. Raises Forbidden.
    """
    rights = _rights_of_caller(connection, by) if isinstance(by, Caller) else by
    if not rights.may(permission):
        raise Forbidden(reason=f"lacks {permission}")
    return rights


def _rights_of_caller(connection: Connection, caller: Caller) -> Rights:
    user = select(users.c.is_active).where(users.c.id == caller.user_id).with_for_update(read=True)
    held = user_roles.join(roles, roles.c.name == user_roles.c.role)
    locking = select(user_roles.c.role).select_from(held).where(user_roles.c.user_id == caller.user_id)
    is_active = connection.execute(user).scalar()
    connection.execute(locking.order_by(user_roles.c.role).with_for_update(read=True))
    return rights_of(connection, caller.user_id).within(caller.rights) if is_active else NO_RIGHTS


def check_may_write_to(rights: Rights, target: Rights) -> None:
    """Let somebody change another only if that one may do no more than he. Raises RightsExceeded."""
    if not rights.covers(target):
        raise RightsExceeded(reason="the user may do more than the caller")


def check_may_confer(rights: Rights, conferred: Rights) -> None:
    """Let somebody give only what he holds himself. Raises RightsExceeded."""
    if not rights.covers(conferred):
        raise RightsExceeded(reason="it gives more than the caller has")
