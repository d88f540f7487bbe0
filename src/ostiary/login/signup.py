"""Sign-up: a new user with a password, by himself or by the command line; and the very first superuser."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection

from ostiary.audit.events import Event
from ostiary.audit.origin import Origin
from ostiary.audit.recording import record
from ostiary.context import App
from ostiary.credentials.mailed import mail_verification
from ostiary.credentials.models import set_password
from ostiary.credentials.one_time import TokenInvalid, consume, is_live, issue, void
from ostiary.credentials.strength import check_shape, check_strength
from ostiary.crypto.passwords import StoredPassword
from ostiary.db import read_committed
from ostiary.edge.source import Source
from ostiary.mail.messages import AddressTaken
from ostiary.mail.outbox import tell
from ostiary.metrics.declared import SIGNUPS
from ostiary.problems import Forbidden
from ostiary.users.accounts import EmailTaken, add_user, has_superuser, pretend_to_add_user
from ostiary.users.address import canonical_email, parse_email, parse_username
from ostiary.users.models import User, user_by_email_key
from ostiary.users.profiles import mark_verified

SETUP_PURPOSE = "setup"
SETUP_SUBJECT = "first-superuser"
SETUP_LIFETIME = timedelta(hours=1)
SETUP_BITS = 128

log = structlog.get_logger(__name__)


class SignupClosed(Forbidden):
    """The operator has closed sign-up."""

    detail = "Sign-up is closed"
    code = "signup_closed"


@dataclass(frozen=True, slots=True)
class NewUser:
    """Somebody who may be added: names parsed, password judged and hashed."""

    email: str
    username: str
    password: StoredPassword


async def prepare(app: App, *, email: str, username: str, password: str) -> NewUser:
    """Judge what was asked for, cheapest first, and hash the password (PW-1 to PW-5, SU-1).

    Raises InvalidInput for what cannot be accepted, Unavailable when too many wait to be judged or hashed.
    """
    email, username = parse_email(email).address, parse_username(username)
    return NewUser(email, username, await prepare_password(app, password, email=email, username=username))


async def prepare_password(app: App, password: str, *, email: str, username: str) -> StoredPassword:
    """Judge a password that somebody of this address and name has chosen, and hash it (PW-1 to PW-5).

    Raises PasswordRefused; Unavailable when too many wait to be judged or hashed.
    """
    check_shape(password, min_length=app.settings.password_min_length)
    await app.hasher.judge(check_strength, password, email=email, username=username, breached=app.breached)
    return await app.hasher.hash(password)


async def sign_up(
    app: App, *, email: str, username: str, password: str, origin: Origin, source: Source, language: str
) -> User:
    """Add an ordinary active user, and mail him the link that proves his address; `language` is his request's.

    In privacy mode an address that is taken is answered alike: with a user who is nobody (SU-3).
    Raises what `prepare` does, EmailTaken, UsernameTaken, SignupClosed.
    """
    if app.settings.signup != "open":
        raise SignupClosed
    new = await prepare(app, email=email, username=username, password=password)
    may_tell = app.settings.signup_privacy and await _may_tell_owner(app, new, source)
    now = app.clock.now()
    user = await app.db.write(add_newcomer, app, new, origin=origin, may_tell=may_tell, language=language, now=now)
    app.metrics.count(SIGNUPS)
    log.info("user_signed_up", user_id=user.id)
    return user


async def set_up(app: App, *, token: str, email: str, username: str, password: str, origin: Origin) -> User:
    """Add the first superuser, for whoever holds the token that the server printed (AD-1).

    Raises TokenInvalid for a token that is spent, expired, unknown, or no longer needed; otherwise as `sign_up`.
    Whatever is refused leaves the token as it was.
    """
    if not await app.db.read(is_live, SETUP_PURPOSE, token, now=app.clock.now()):
        raise TokenInvalid  # before a hash is worked out for anybody; the write below decides all the same
    new = await prepare(app, email=email, username=username, password=password)
    user = await app.db.write(create_first_superuser, token, new, origin=origin, now=app.clock.now())
    log.warning("first_superuser_created", user_id=user.id)
    return user


@read_committed(why="the unique constraints decide; nothing that was read is relied upon")
def add_newcomer(
    connection: Connection, app: App, new: NewUser, *, origin: Origin, may_tell: bool, language: str, now: datetime
) -> User:
    """Add somebody who signs up, with the mail that lets him prove his address. Raises EmailTaken, UsernameTaken.

    `may_tell` says whether the owner of an address that is taken may have a mail.
    """
    try:
        user = add_with_password(connection, new, is_superuser=False, now=now)
    except EmailTaken:
        if not app.settings.signup_privacy:
            raise
        return _tell_owner(connection, app, new, origin=origin, may_tell=may_tell, now=now)
    mail_verification(connection, app, user, language=language, now=now)
    record(connection, Event.USER_SIGNED_UP, origin, user_id=user.id, now=now)
    return user


async def _may_tell_owner(app: App, new: NewUser, source: Source) -> bool:
    """Count the mail that tells the owner of a taken address. Where it is free as much is done, and nobody is counted.

    Should it be taken the moment after, its new owner gets no mail: he has just been there himself.
    """
    email_key = canonical_email(new.email)
    if await app.db.read(user_by_email_key, email_key) is None:
        await app.mail_limits.pretend(address=email_key)
        return False
    return await app.mail_limits.allowed(address=email_key, source=source.key)


def _tell_owner(
    connection: Connection, app: App, new: NewUser, *, origin: Origin, may_tell: bool, now: datetime
) -> User:
    """Answer whoever signs up with an address that is taken like anybody else, and tell its owner (SU-3)."""
    email_key = canonical_email(new.email)
    owner = user_by_email_key(connection, email_key)
    user = pretend_to_add_user(connection, email=new.email, username=new.username, now=now)
    if owner is None:  # he was gone again a moment later
        return user
    if may_tell:
        tell(connection, owner, AddressTaken(username=owner.username), sealer=app.sealer, now=now)
    record(connection, Event.SIGNUP_ADDRESS_TAKEN, origin, user_id=owner.id, now=now)
    return user


@read_committed(why="the unique constraints decide; nothing that was read is relied upon")
def create(connection: Connection, new: NewUser, *, is_superuser: bool, origin: Origin, now: datetime) -> User:
    """Add a user for an operator, who vouches for the address. Raises EmailTaken, UsernameTaken."""
    user = add_with_password(connection, new, is_superuser=is_superuser, now=now)
    mark_verified(connection, user.id, now=now)
    details = {"superuser": is_superuser}
    record(connection, Event.USER_CREATED, origin, user_id=user.id, details=details, now=now)
    return user


def add_with_password(connection: Connection, new: NewUser, *, is_superuser: bool, now: datetime) -> User:
    """Add a user and his password. Raises EmailTaken, UsernameTaken."""
    user = add_user(connection, email=new.email, username=new.username, is_superuser=is_superuser, now=now)
    set_password(connection, user.id, new.password, now=now)
    return user


def create_first_superuser(connection: Connection, token: str, new: NewUser, *, origin: Origin, now: datetime) -> User:
    """Use the set-up token up and add the superuser, both or neither. Whoever runs the server vouches for him."""
    consume(connection, SETUP_PURPOSE, token, now=now)
    if has_superuser(connection):
        raise TokenInvalid(reason="there is a superuser already")
    user = add_with_password(connection, new, is_superuser=True, now=now)
    mark_verified(connection, user.id, now=now)
    record(connection, Event.FIRST_SUPERUSER_CREATED, origin, user_id=user.id, now=now)
    return user


def offer_setup(connection: Connection, *, now: datetime) -> str | None:
    """Make a fresh set-up token, in place of earlier ones; None where there is a superuser already."""
    void(connection, SETUP_PURPOSE, SETUP_SUBJECT)
    if has_superuser(connection):
        return None
    return issue(connection, SETUP_PURPOSE, SETUP_SUBJECT, lifetime=SETUP_LIFETIME, now=now, bits=SETUP_BITS)
