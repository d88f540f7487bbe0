"""Everything that mail can say: one class for each message, with the facts that its templates show.

Each names the account and what was asked for or has happened (SU-6). A message with a link carries the token alone:
the rest of the link is the public URL's and this module's, so nothing in a request can bend it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class Message:
    """What every message has. `name` is also the folder of its templates."""

    name: ClassVar[str]

    username: str
    """The account that it is about."""


@dataclass(frozen=True, kw_only=True)
class Linked(Message):
    """A message whose link does something. Not sent any more once the link would be worthless."""

    page: ClassVar[str]
    """Path of the page that the link opens."""

    token: str
    valid_for: timedelta


@dataclass(frozen=True, kw_only=True)
class Notice(Message):
    """A message about what has happened already. Never limited."""

    at: datetime
    source: str | None = None
    """The address it was done from; None where that says nothing to the reader."""
    device: str | None = None
    """What the caller's program said of itself (`User-Agent`)."""
    by: str | None = None
    """The administrator who did it; None: whoever is signed in to the account, or holds its mail."""


@dataclass(frozen=True, kw_only=True)
class VerifyAddress(Linked):
    """To the address of a new account: prove that it is yours."""

    name = "verify_address"
    page = "/verify-email"


@dataclass(frozen=True, kw_only=True)
class ConfirmNewAddress(Linked):
    """To an address that an account wants to change to: prove that it is yours."""

    name = "confirm_new_address"
    page = "/email/confirm"

    by: str | None = None
    """The administrator who asked; None: the account itself."""


@dataclass(frozen=True, kw_only=True)
class ResetPassword(Linked):
    """To the account's address: choose a new password."""

    name = "reset_password"
    page = "/reset"

    by: str | None = None
    """The administrator who asked; None: somebody who said that he forgot it."""


@dataclass(frozen=True, kw_only=True)
class Invitation(Linked):
    """To somebody without an account yet. `username` is the one set aside for him, or empty."""

    name = "invitation"
    page = "/invite"

    by: str


@dataclass(frozen=True, kw_only=True)
class AddressTaken(Message):
    """To the owner of an account: somebody tried to sign up with its address, and was not told (SU-3)."""

    name = "address_taken"


@dataclass(frozen=True, kw_only=True)
class AddressChangeAsked(Notice):
    """To the address on file: somebody wants to change it (SU-7)."""

    name = "address_change_asked"

    new_address: str


@dataclass(frozen=True, kw_only=True)
class AddressChanged(Notice):
    """To the address that was on file until now: it is no longer."""

    name = "address_changed"

    new_address: str


@dataclass(frozen=True, kw_only=True)
class PasswordChanged(Notice):
    """To the account's address: the password is another now (PW-7)."""

    name = "password_changed"

    by_reset: bool = False
    """Whether it was chosen through a link in a mail, and not by whoever knew the old one."""


@dataclass(frozen=True, kw_only=True)
class NewSignIn(Notice):
    """To the account's address: somebody signed in from a place it was never used from."""

    name = "new_sign_in"


@dataclass(frozen=True, kw_only=True)
class APIKeyMade(Notice):
    """To the account's address: there is a new key that acts for it (MF-4)."""

    name = "api_key_made"

    key_name: str


@dataclass(frozen=True, kw_only=True)
class RolesChanged(Notice):
    """To the account's address: it may do more or less than before. `roles` are those it has now."""

    name = "roles_changed"

    roles: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class AccountDeactivated(Notice):
    """To the account's address: nobody can sign in to it any more."""

    name = "account_deactivated"


@dataclass(frozen=True, kw_only=True)
class AccountDeleted(Notice):
    """To the address that the account had: it is gone."""

    name = "account_deleted"


MESSAGES: dict[str, type[Message]] = {
    kind.name: kind
    for kind in (
        VerifyAddress,
        ConfirmNewAddress,
        ResetPassword,
        Invitation,
        AddressTaken,
        AddressChangeAsked,
        AddressChanged,
        PasswordChanged,
        NewSignIn,
        APIKeyMade,
        RolesChanged,
        AccountDeactivated,
        AccountDeleted,
    )
}
"""Every message, by its name."""
