"""Tokens that are mailed as links: what for, how long each kind lives, and what each is bound to (SU-4).

A token belongs to one user at one address, of which its subject holds a digest. It is worth nothing once either of them
is another, whoever presents it and whatever else the request says.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from ostiary.context import App
from ostiary.credentials.one_time import issue, void_tokens_of
from ostiary.mail.messages import VerifyAddress
from ostiary.mail.outbox import enqueue
from ostiary.users.models import User

_DIGEST_LENGTH = 32
"""Hexadecimal digits: 128 bits, for nobody gains anything from two addresses with one digest but his own."""


@dataclass(frozen=True, slots=True)
class MailedToken:
    """One kind of token that is mailed."""

    purpose: str
    lifetime: timedelta


VERIFY_EMAIL = MailedToken("verify_email", timedelta(hours=24))
RESET_PASSWORD = MailedToken("reset_password", timedelta(minutes=30))
CHANGE_EMAIL = MailedToken("change_email", timedelta(hours=24))
INVITATION = MailedToken("invitation", timedelta(days=7))


def subject_for(owner: int | str, *addresses: str) -> str:
    """Write what a token is bound to: whose it is, and every address that it speaks of, as stored."""
    digests = (hashlib.sha256(address.encode()).hexdigest()[:_DIGEST_LENGTH] for address in addresses)
    return ":".join([str(owner), *digests])


def issue_to(connection: Connection, kind: MailedToken, user: User, *more: str, now: datetime) -> str:
    """Make a token for a user at his stored address, in place of every earlier one of its kind.

    `more` are further addresses that it speaks of: the new one, when an address is to be changed.
    """
    void_tokens_of(connection, user.id, purpose=kind.purpose)
    subject = subject_for(user.id, user.email, *more)
    return issue(connection, kind.purpose, subject, lifetime=kind.lifetime, now=now, user_id=user.id)


def mail_verification(connection: Connection, app: App, user: User, *, language: str, now: datetime) -> None:
    """Mail a user the link that proves his address, in place of earlier ones."""
    token = issue_to(connection, VERIFY_EMAIL, user, now=now)
    message = VerifyAddress(username=user.username, token=token, valid_for=VERIFY_EMAIL.lifetime)
    enqueue(connection, message, to=user.email, language=language, user_id=user.id, sealer=app.sealer, now=now)
