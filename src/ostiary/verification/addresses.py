"""Whether mail to an address reaches its user: proving it, and changing it for another that was proven (SU-4, SU-7)."""

from datetime import datetime

import structlog
from sqlalchemy import Connection, delete, select

from ostiary.audit.events import Event
from ostiary.audit.origin import Origin
from ostiary.audit.recording import record
from ostiary.context import App
from ostiary.credentials.mailed import CHANGE_EMAIL, VERIFY_EMAIL, issue_to
from ostiary.credentials.one_time import TokenInvalid, void_tokens_of
from ostiary.db import read_committed
from ostiary.db.statements import insert_into
from ostiary.edge.source import Source
from ostiary.mail.languages import choose_language
from ostiary.mail.messages import AddressChangeAsked, AddressChanged, ConfirmNewAddress
from ostiary.mail.outbox import enqueue, tell
from ostiary.problems import NotFound
from ostiary.users.accounts import EmailTaken, change_email
from ostiary.users.address import canonical_email
from ostiary.users.models import User, lock_user, user_by_email_key
from ostiary.users.profiles import language_of, mark_verified
from ostiary.verification.models import email_changes
from ostiary.verification.redeeming import holder_of, redeem

log = structlog.get_logger(__name__)


async def verify_email(app: App, *, token: str, origin: Origin) -> None:
    """Note that mail to a user's address reaches him. Raises TokenInvalid."""
    user_id = await app.db.write(prove_address, token, origin, now=app.clock.now())
    log.info("email_verified", user_id=user_id)


@read_committed(why="the user's row is locked first; one write uses the token up")
def prove_address(connection: Connection, token: str, origin: Origin, *, now: datetime) -> int:
    """Use the token up, note the proof, and answer whose it is. Raises TokenInvalid."""
    user = redeem(connection, VERIFY_EMAIL, token, now=now)
    mark_verified(connection, user.id, now=now)
    record(connection, Event.EMAIL_VERIFIED, origin.by(user.id), user_id=user.id, now=now)
    return user.id


def start_email_change(
    connection: Connection,
    app: App,
    user: User,
    new_email: str,
    origin: Origin,
    *,
    by: str | None = None,
    language: str | None = None,
    now: datetime,
) -> None:
    """Mail the proof of a new address to it, and tell the old one (SU-7). The address stays until that proof is given.

    The user's row is locked, `new_email` parsed. A second change takes the place of the first. `by` names the
    administrator who asks for it. Raises EmailTaken.
    """
    owner = user_by_email_key(connection, canonical_email(new_email))
    if owner is not None and owner.id != user.id:
        raise EmailTaken
    values = {"new_email": new_email, "requested_at": now}
    connection.execute(
        insert_into(connection, email_changes)
        .values(user_id=user.id, **values)
        .on_conflict_do_update(index_elements=[email_changes.c.user_id], set_=values)
    )
    token = issue_to(connection, CHANGE_EMAIL, user, new_email, now=now)
    language = choose_language(language_of(connection, user.id), language)
    proof = ConfirmNewAddress(username=user.username, token=token, valid_for=CHANGE_EMAIL.lifetime, by=by)
    enqueue(connection, proof, to=new_email, language=language, user_id=user.id, sealer=app.sealer, now=now)
    notice = AddressChangeAsked(
        username=user.username,
        at=now,
        source=None if by else origin.address,
        device=None if by else origin.user_agent,
        by=by,
        new_address=new_email,
    )
    enqueue(connection, notice, to=user.email, language=language, user_id=user.id, sealer=app.sealer, now=now)
    record(connection, Event.EMAIL_CHANGE_STARTED, origin, user_id=user.id, now=now)


def pending_change(connection: Connection, user_id: int) -> tuple[str, datetime] | None:
    """Answer which address a user would like to have and since when; None where he asks for none."""
    e = email_changes.c
    row = connection.execute(select(e.new_email, e.requested_at).where(e.user_id == user_id)).first()
    return None if row is None else (row.new_email, row.requested_at)


async def request_email_change(
    app: App, *, user_id: int, new_email: str, source: Source, origin: Origin, language: str
) -> None:
    """Begin to change the address of the signed-in user to one that has been parsed.

    Beyond the limits for asked-for mail nothing happens, and the link sent before stays good. An address that another
    has is refused where sign-up would tell as well; in privacy mode the answer is the same for every address (SU-3).
    Raises EmailTaken.
    """
    if not await app.mail_limits.allowed(address=canonical_email(new_email), source=source.key):
        log.info("email_change_swallowed", user_id=user_id)
        return
    try:
        await app.db.write(begin_email_change, app, user_id, new_email, origin, language=language, now=app.clock.now())
    except EmailTaken:
        if not app.settings.signup_privacy:
            raise


@read_committed(why="the user's row is locked first; whose an address is, is decided when it is confirmed")
def begin_email_change(
    connection: Connection, app: App, user_id: int, new_email: str, origin: Origin, *, language: str, now: datetime
) -> None:
    """Lock the user and begin the change. Raises EmailTaken, NotFound."""
    user = lock_user(connection, user_id)
    if user is None:
        raise NotFound
    start_email_change(connection, app, user, new_email, origin, language=language, now=now)


async def confirm_email_change(app: App, *, token: str, origin: Origin) -> None:
    """Give a user the address that he has proven. Raises TokenInvalid, EmailTaken; then everything stays as it was."""
    user_id = await app.db.write(replace_address, app, token, origin, now=app.clock.now())
    log.info("email_changed", user_id=user_id)


@read_committed(why="the user's row is locked first; the unique constraint decides whose an address is")
def replace_address(connection: Connection, app: App, token: str, origin: Origin, *, now: datetime) -> int:
    """Use the token up, and make the pending address the user's. Raises TokenInvalid, EmailTaken.

    His sessions stay: whoever began the change had just proven himself (MF-4). Every other token that was mailed is
    void with the address it was mailed to.
    """
    holder = holder_of(connection, CHANGE_EMAIL, token, now=now)
    c = email_changes.c
    new_email = connection.execute(select(c.new_email).where(c.user_id == holder.id)).scalar()
    if new_email is None:
        raise TokenInvalid(reason="no change is pending")
    user = redeem(connection, CHANGE_EMAIL, token, new_email, now=now)
    change_email(connection, user.id, new_email, now=now)
    connection.execute(delete(email_changes).where(c.user_id == user.id))
    void_tokens_of(connection, user.id)
    notice = AddressChanged(
        username=user.username, at=now, source=origin.address, device=origin.user_agent, new_address=new_email
    )
    tell(connection, user, notice, sealer=app.sealer, now=now)
    record(connection, Event.EMAIL_CHANGED, origin.by(user.id), user_id=user.id, now=now)
    return user.id


def purge_email_changes(connection: Connection, *, before: datetime, limit: int) -> int:
    """Remove some changes of address whose proof expired before a moment; answer how many."""
    c = email_changes.c
    some = select(c.user_id).where(c.requested_at < before - CHANGE_EMAIL.lifetime).limit(limit)
    return connection.execute(delete(email_changes).where(c.user_id.in_(some))).rowcount
