"""Every page that a link in a mail opens: where it is, and what its button does. What it says is in `templates/`."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from ostiary.audit.origin import Origin
from ostiary.context import App
from ostiary.edge.source import Source
from ostiary.mail.messages import ConfirmNewAddress, Invitation, ResetPassword, VerifyAddress
from ostiary.problems import InvalidInput
from ostiary.verification.addresses import confirm_email_change, verify_email
from ostiary.verification.invitations import accept_invitation
from ostiary.verification.recovery import reset_password

Form: TypeAlias = Mapping[str, str]
Act: TypeAlias = Callable[[App, Form, Origin, Source], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Page:
    """One page. The mail that links to it knows its path."""

    path: str
    template: str
    summary: str
    act: Act
    has_fields: bool = False
    """Whether it asks for something, so that what was refused may be put right."""


async def _verify(app: App, form: Form, origin: Origin, _source: Source) -> None:
    await verify_email(app, token=form["token"], origin=origin)


async def _confirm(app: App, form: Form, origin: Origin, _source: Source) -> None:
    await confirm_email_change(app, token=form["token"], origin=origin)


async def _reset(app: App, form: Form, origin: Origin, source: Source) -> None:
    password = _given(form, "password")
    await reset_password(app, token=form["token"], new_password=password, origin=origin, source=source)


async def _accept(app: App, form: Form, origin: Origin, _source: Source) -> None:
    password, username = _given(form, "password"), form.get("username") or None
    await accept_invitation(app, token=form["token"], username=username, password=password, origin=origin)


def _given(form: Form, name: str) -> str:
    if name not in form:
        raise InvalidInput(f"{name}: is required")
    return form[name]


PAGES = (
    Page(VerifyAddress.page, "verify_email.html", "Prove an address", _verify),
    Page(ConfirmNewAddress.page, "change_email.html", "Prove another address", _confirm),
    Page(ResetPassword.page, "reset_password.html", "Choose a new password", _reset, has_fields=True),
    Page(Invitation.page, "invitation.html", "Accept an invitation", _accept, has_fields=True),
)
