"""What administrators start and others finish: resets, changes of address, invitations (RC-4, SU-7, AD-4)."""

from typing import Any

import httpx
import pytest

from tests.administration.asking import holder, patch, recorded, state_of, superuser
from tests.conftest import MakeServer
from tests.login.inside import deactivate
from tests.mails import mail_to, mails, settled
from tests.people import PASSWORD, Person, log_in, newcomer, sign_up, signed_in
from tests.roles.planted import plant_role
from tests.server import Server
from tests.sessions.answers import works
from tests.sessions.beside import rows
from tests.users.asking import NOT_FOUND, detail_of, plant_user
from tests.verification.test_email_change import confirm, email_of
from tests.verification.test_invite import accept
from tests.verification.test_reset import NEW, login_status, reset
from tests.verification.test_verify import INVALID


@pytest.fixture
def admin(server: Server, client: httpx.Client) -> Person:
    return superuser(server, client)


def start_reset(client: httpx.Client, by: Person, user_id: int) -> httpx.Response:
    return client.post(f"/users/{user_id}/password-reset", headers=by.auth)


def invite(client: httpx.Client, by: Person, **members: Any) -> httpx.Response:
    return client.post("/users/invite", json=members, headers=by.auth)


@pytest.mark.rule("RC-4")
def test_a_reset_is_started_by_an_administrator_and_finished_by_the_user(
    server: Server, client: httpx.Client, admin: Person
) -> None:
    person = signed_in(client)
    answer = start_reset(client, admin, person.id)
    assert (answer.status_code, answer.content) == (202, b""), "he sees neither password nor link"
    assert login_status(client, person, PASSWORD) == 200, "until then everything stays as it was"
    assert works(client, person.access_token)
    mail = mail_to(server.settings, person.email, "reset_password")
    assert admin.user["username"] in mail.text
    assert mails(server.settings, to=admin.email, name="reset_password") == []
    assert reset(client, mail.token).status_code == 204
    assert (login_status(client, person, PASSWORD), login_status(client, person, NEW)) == (401, 200)
    assert reset(client, mail.token).json() == INVALID
    assert ("password_reset_started", admin.id) in recorded(server, person.id)


@pytest.mark.rule("AD-4", "AD-3")
def test_only_who_may_change_a_user_starts_his_reset(server: Server, client: httpx.Client, admin: Person) -> None:
    by = holder(server, client, "users:write", "users:read")
    deactivated = sign_up(client)
    deactivate(server, deactivated)
    assert detail_of(start_reset(client, holder(server, client, "users:read"), by.id), 403, code="forbidden")
    assert detail_of(start_reset(client, by, admin.id), 403, code="rights_exceeded")
    assert detail_of(start_reset(client, by, deactivated.id), 403, code="user_inactive")
    assert (start_reset(client, by, 999_999_999).status_code, start_reset(client, by, 0).json()) == (404, NOT_FOUND)
    assert detail_of(client.post("/users/x/password-reset", headers=by.auth), 400)
    settled(server.settings)
    for person in (admin, deactivated):
        assert mails(server.settings, to=person.email, name="reset_password") == []


@pytest.mark.rule("SU-7")
def test_an_address_that_an_administrator_wants_is_proven_before_it_is_the_users(
    server: Server, client: httpx.Client, admin: Person
) -> None:
    person = signed_in(client)
    wanted = f"wanted-{person.email}"
    answer = patch(client, admin, person.id, email=wanted, username=f"renamed-{person.id}")
    assert answer.json() == person.user | {"username": f"renamed-{person.id}"}, "the address is still the old one"
    proof = mail_to(server.settings, wanted, "confirm_new_address")
    notice = mail_to(server.settings, person.email, "address_change_asked")
    for mail in (proof, notice):
        assert admin.user["username"] in mail.text
    assert email_of(server, person) == person.email
    assert confirm(client, proof.token).status_code == 204
    assert email_of(server, person) == wanted
    # The address that he has is no change, so nothing is mailed.
    assert patch(client, admin, person.id, email=wanted).json()["email"] == wanted
    settled(server.settings)
    assert len(mails(server.settings, to=wanted, name="confirm_new_address")) == 1


def test_a_change_is_whole_or_not_at_all(server: Server, client: httpx.Client, admin: Person) -> None:
    person, other = sign_up(client), sign_up(client)
    wanted = f"wanted-{person.email}"
    before = state_of(server, person.id)
    assert detail_of(
        patch(client, admin, person.id, email=other.email.upper(), is_active=False), 400, code="email_taken"
    )
    answer = patch(client, admin, person.id, email=wanted, username=other.user["username"])
    assert detail_of(answer, 400, code="username_taken")
    for email in (None, 1, "", "no address", "a@b", "a@service.invalid", f"{'a' * 65}@example.com"):
        assert detail_of(patch(client, admin, person.id, email=email, is_active=False), 400)
    assert state_of(server, person.id) == before
    settled(server.settings)
    assert mails(server.settings, to=wanted) == []
    assert rows(server.settings, "SELECT 1 FROM email_changes WHERE user_id = ?", person.id) == []


@pytest.mark.rule("SU-4")
def test_who_is_invited_joins(server: Server, client: httpx.Client, admin: Person) -> None:
    wanted = newcomer()
    answer = invite(client, admin, email=wanted["email"], username=wanted["username"], password="ignored", id=1)
    assert (answer.status_code, answer.content) == (202, b"")
    mail = mail_to(server.settings, wanted["email"], "invitation")
    assert admin.user["username"] in mail.text
    assert wanted["username"] in mail.text
    joined = accept(client, mail.token, username=None).json()
    assert (joined["email"], joined["username"]) == (wanted["email"], wanted["username"])
    assert works(client, log_in(client, Person(joined, PASSWORD)).access_token)
    assert rows(server.settings, "SELECT role FROM user_roles WHERE user_id = ?", joined["id"]) == []


@pytest.mark.rule("AD-4")
def test_an_invitation_confers_only_what_the_inviter_holds(server: Server, client: httpx.Client) -> None:
    inviter = holder(server, client, "users:write", "roles:write", "users:read", "audit:read")
    clerk = holder(server, client, "users:write", "users:read")
    little, much = f"little-{inviter.id}", f"much-{inviter.id}"
    plant_role(server, little, "users:read")
    plant_role(server, much, "users:delete")
    email = newcomer()["email"]
    assert detail_of(invite(client, inviter, email=email, roles=[little, much]), 403, code="rights_exceeded")
    assert detail_of(invite(client, clerk, email=email, roles=[little]), 403, code="forbidden")
    assert detail_of(invite(client, inviter, email=email, roles=["unknown"]), 400)
    settled(server.settings)
    assert mails(server.settings, to=email) == []
    assert invite(client, clerk, email=email, roles=[]).status_code == 202
    mail_to(server.settings, email, "invitation")
    assert invite(client, inviter, email=email, roles=[little, little]).status_code == 202
    joined = accept(client, mail_to(server.settings, email, "invitation", number=2).token).json()
    assert rows(server.settings, "SELECT role FROM user_roles WHERE user_id = ?", joined["id"]) == [(little,)]
    assert ("role_granted", inviter.id) in recorded(server, joined["id"])


@pytest.mark.rule("AD-4", "D1")
def test_who_may_not_confer_any_more_has_invited_nobody(server: Server, client: httpx.Client) -> None:
    inviter = superuser(server, client)
    plant_role(server, f"role-{inviter.id}", "users:delete")
    email = newcomer()["email"]
    assert invite(client, inviter, email=email, roles=[f"role-{inviter.id}"]).status_code == 202
    token = mail_to(server.settings, email, "invitation").token
    other = superuser(server, client)
    assert patch(client, other, inviter.id, is_superuser=False).status_code == 200
    assert accept(client, token).json() == INVALID
    assert rows(server.settings, "SELECT 1 FROM users WHERE email = ?", email) == []
    assert patch(client, other, inviter.id, is_superuser=True).status_code == 200
    assert accept(client, token).status_code == 201


@pytest.mark.any_engine
@pytest.mark.rule("SU-2")
def test_what_is_no_invitation_is_400(server: Server, client: httpx.Client, admin: Person) -> None:
    person, email = sign_up(client), newcomer()["email"]
    bad: tuple[dict[str, Any], ...] = (
        {}, {"email": None}, {"email": 1}, {"email": "no address"}, {"email": "a@service.invalid"},
        {"email": email, "username": None}, {"email": email, "username": "a b"}, {"email": email, "roles": None},
        {"email": email, "roles": "staff"}, {"email": email, "roles": [1]}, {"email": email, "roles": ["A b"]},
        {"email": email, "roles": [f"role-{number}" for number in range(33)]}, {"email": email, "roles": ["\0"]},
    )  # fmt: skip
    for body in bad:
        assert detail_of(invite(client, admin, **body), 400), body
    assert detail_of(invite(client, admin, email=person.email.upper()), 400, code="email_taken")
    taken = person.user["username"].upper()
    assert detail_of(invite(client, admin, email=email, username=taken), 400, code="username_taken")
    settled(server.settings)
    assert mails(server.settings, to=email) == []
    assert detail_of(invite(client, signed_in(client), email=email), 403, code="forbidden")


@pytest.mark.any_engine
@pytest.mark.rule("AD-2")
def test_service_accounts_have_no_mailbox(server: Server, client: httpx.Client, admin: Person) -> None:
    robot = plant_user(server, email=f"robot-{admin.id}@service.invalid").id
    assert detail_of(start_reset(client, admin, robot), 403, code="no_mailbox")
    assert detail_of(patch(client, admin, robot, email=newcomer()["email"]), 403, code="no_mailbox")
    assert patch(client, admin, robot, is_active=False).json()["is_active"] is False


@pytest.mark.any_engine
def test_closed_sign_up_is_closed_for_invitations_too(make_server: MakeServer) -> None:
    with (server := make_server(signup="closed")).client() as client, make_server(like=server).client() as open_client:
        admin = superuser(server, open_client)
        assert detail_of(invite(client, log_in(client, admin), email=newcomer()["email"]), 403, code="signup_closed")
