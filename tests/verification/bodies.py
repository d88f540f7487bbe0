"""Bodies that will do for the calls of verification."""

from typing import Any

from tests.people import PASSWORD, Person, newcomer
from tests.server import Server
from tests.verification.test_one_time_secrets import SECRETS

OFFERS = {secret.name: secret.offer for secret in SECRETS}


def mailed_body(server: Server, person: Person, name: str) -> dict[str, Any]:
    """A body that asks for a mail, or has a live token from one, by the name of the operation."""
    if name == "requestEmailChange":
        return {"new_email": newcomer()["email"]}
    if name in {"requestEmailVerification", "forgotPassword"}:
        return {"email": person.email}
    with server.client() as client:
        match name:
            case "verifyEmail":
                return {"token": OFFERS["verification"](server, client).token}
            case "resetPassword":
                return {"token": OFFERS["reset"](server, client).token, "new_password": PASSWORD[::-1]}
            case "confirmEmailChange":
                return {"token": OFFERS["change"](server, client).token}
            case "acceptInvitation":
                return newcomer(token=OFFERS["invitation"](server, client).token)
    raise AssertionError(f"no body is known for {name}")
