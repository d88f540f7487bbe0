"""Inviting somebody to have an account, and his accepting it (SU-4)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import Connection, delete, select

from ostiary.audit.events import Event
from ostiary.audit.origin import Origin
from ostiary.audit.recording import record
from ostiary.context import App
from ostiary.credentials.mailed import INVITATION, subject_for
from ostiary.credentials.one_time import TokenInvalid, consume, issue, subject_of, void
from ostiary.crypto.opaque import new_id
from ostiary.db.statements import insert_into
from ostiary.login.signup import NewUser, SignupClosed, add_with_password, prepare
from ostiary.mail.messages import Invitation as InvitationMail
from ostiary.mail.outbox import enqueue
from ostiary.problems import Forbidden, InvalidInput, NotFound
from ostiary.roles.granting import grant_role
from ostiary.roles.models import rights_of
from ostiary.users.accounts import EmailTaken, UsernameTaken
from ostiary.users.address import parse_email, parse_username
from ostiary.users.models import User, user_by_email_key, user_by_id, user_by_username_key
from ostiary.users.profiles import mark_verified
from ostiary.verification.models import invitations
from ostiary.web.permissions import ALL_RIGHTS

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Invitation:
    """Somebody who may join."""

    id: str
    email: str
    username: str | None
    roles: tuple[str, ...]
    invited_by: int | None


def invite(
    connection: Connection,
    app: App,
    *,
    email: str,
    username: str | None = None,
    roles: Sequence[str] = (),
    origin: Origin,
    by: str,
    language: str,
    now: datetime,
) -> None:
    """Mail somebody an invitation, in place of an earlier one to the same address.

    `by` names who invites; that he may confer the roles has been checked. `username` is proposed, not set aside: he
    who accepts may choose another. Raises InvalidInput, EmailTaken, UsernameTaken, SignupClosed.
    """
    if app.settings.signup == "closed":
        raise SignupClosed
    parsed = parse_email(email)
    if user_by_email_key(connection, parsed.canonical) is not None:
        raise EmailTaken
    if username is not None and user_by_username_key(connection, parse_username(username).lower()) is not None:
        raise UsernameTaken
    earlier = connection.execute(select(invitations).where(invitations.c.email_key == parsed.canonical)).first()
    if earlier is not None:
        void(connection, INVITATION.purpose, subject_for(earlier.id, earlier.email))
    invitation_id = new_id()
    values = {
        "id": invitation_id,
        "email": parsed.address,
        "username": username,
        "roles": json.dumps(list(roles)),
        "invited_by": origin.actor_id,
        "created_at": now,
        "expires_at": now + INVITATION.lifetime,
    }
    connection.execute(
        insert_into(connection, invitations)
        .values(email_key=parsed.canonical, **values)
        .on_conflict_do_update(index_elements=[invitations.c.email_key], set_=values)
    )
    subject = subject_for(invitation_id, parsed.address)
    token = issue(connection, INVITATION.purpose, subject, lifetime=INVITATION.lifetime, now=now)
    message = InvitationMail(username=username or "", token=token, valid_for=INVITATION.lifetime, by=by)
    enqueue(connection, message, to=parsed.address, language=language, user_id=None, sealer=app.sealer, now=now)
    record(connection, Event.USER_INVITED, origin, details={"roles": list(roles)}, now=now)


async def accept_invitation(app: App, *, token: str, username: str | None, password: str, origin: Origin) -> User:
    """Make the account that somebody was invited to have; whatever is refused leaves the invitation as it was.

    Raises TokenInvalid, InvalidInput, EmailTaken, UsernameTaken, PasswordRefused, SignupClosed, Unavailable.
    """
    if app.settings.signup == "closed":
        raise SignupClosed
    invitation = await app.db.read(invitation_of, token, now=app.clock.now())
    chosen = username if username is not None else invitation.username
    if chosen is None:
        raise InvalidInput("username: is required")
    new = await prepare(app, email=invitation.email, username=chosen, password=password)
    user = await app.db.write(join, token, new, origin, now=app.clock.now())
    log.info("invitation_accepted", user_id=user.id)
    return user


def invitation_of(connection: Connection, presented: str, *, now: datetime) -> Invitation:
    """Answer what a token invites to while it could be used. Only a hint: `join` decides. Raises TokenInvalid."""
    return _read(connection, subject_of(connection, INVITATION.purpose, presented, now=now))


def join(connection: Connection, token: str, new: NewUser, origin: Origin, *, now: datetime) -> User:
    """Use an invitation up and add its user, both or neither. The mail that arrived proves the address.

    Raises TokenInvalid, EmailTaken, UsernameTaken.
    """
    invitation = _read(connection, consume(connection, INVITATION.purpose, token, now=now))
    if invitation.email != new.email:
        raise TokenInvalid(reason="for another address")
    user = add_with_password(connection, new, is_superuser=False, now=now)
    mark_verified(connection, user.id, now=now)
    _confer(connection, invitation, user.id, origin=origin, now=now)
    connection.execute(delete(invitations).where(invitations.c.id == invitation.id))
    record(connection, Event.INVITATION_ACCEPTED, origin.by(user.id), user_id=user.id, now=now)
    return user


def _confer(connection: Connection, invitation: Invitation, user_id: int, *, origin: Origin, now: datetime) -> None:
    """Give a new user the roles that he was promised, as far as whoever promised them may give them now (AD-4).

    Raises TokenInvalid where he may not any more, or where one of the roles is gone.
    """
    inviter = invitation.invited_by
    rights = ALL_RIGHTS if inviter is None else rights_of(connection, inviter)
    try:
        for name in invitation.roles:
            grant_role(connection, rights, user_id, name, origin=origin._replace(actor_id=inviter), now=now)
    except (Forbidden, NotFound) as refusal:
        raise TokenInvalid(reason=f"its roles cannot be given any more: {refusal.reason}") from None


def _read(connection: Connection, subject: str) -> Invitation:
    """Answer the invitation that a token is bound to. Raises TokenInvalid.

    Whoever invited must still be able to act (D1): an account that was taken over leaves nothing behind that way.
    """
    i = invitations.c
    row = connection.execute(
        select(i.id, i.email, i.username, i.roles, i.invited_by).where(i.id == subject.partition(":")[0])
    ).first()
    if row is None or subject != subject_for(row.id, row.email):
        raise TokenInvalid(reason="no such invitation")
    invitation = Invitation(row.id, row.email, row.username, tuple(json.loads(row.roles)), row.invited_by)
    if invitation.invited_by is not None:
        inviter = user_by_id(connection, invitation.invited_by)
        if inviter is None or not inviter.is_active:
            raise TokenInvalid(reason="whoever invited cannot act any more")
    return invitation


def purge_invitations(connection: Connection, *, before: datetime, limit: int) -> int:
    """Remove some invitations that expired before a moment; answer how many."""
    some = select(invitations.c.id).where(invitations.c.expires_at < before).limit(limit)
    return connection.execute(delete(invitations).where(invitations.c.id.in_(some))).rowcount
