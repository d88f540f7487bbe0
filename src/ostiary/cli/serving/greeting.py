"""What is said at start: where it listens, and to somebody who has just begun, what to do next."""

import json

from ostiary.context import App
from ostiary.login.signup import offer_setup
from ostiary.users.accounts import has_users


async def greeting(app: App) -> str:
    """Put it into words; while there is no superuser, with a fresh token that makes one."""
    base = f"{app.settings.public_url}/api/v1"
    token = await app.db.write(offer_setup, now=app.clock.now())
    lines = [f"Ostiary listens on http://{_shown(app.settings.host)}:{app.settings.port}   data: {app.db.place}"]
    if app.settings.signup == "open" and not await app.db.read(has_users):
        lines += ["", "Try it:", "", *first_steps(base)]
    if token is not None:
        lines += ["", "There is no superuser yet. This makes one (once, within an hour; choose your own password):", ""]
        lines += [setup_line(base, token)]
    if app.settings.api_docs:
        lines += ["", f"API reference: {app.settings.public_url}/docs"]
    return "\n".join(lines)


def first_steps(base: str) -> list[str]:
    """Answer three lines to paste: sign up, log in, read the user."""
    credentials = {"email": "user@example.com", "password": "StrongPass123!"}
    signup = credentials | {"username": "username"}
    take = """sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/'"""
    return [
        f"  {_post(f'{base}/users', signup)}",
        f"  TOKEN=$({_post(f'{base}/auth/login', credentials)} | {take})",
        f'  curl -s {base}/users/1 -H "Authorization: Bearer $TOKEN"',
    ]


def setup_line(base: str, token: str) -> str:
    """Answer the line to paste that makes the first superuser."""
    admin = {"token": token, "email": "admin@example.com", "username": "admin", "password": "CHOOSE-YOUR-OWN"}
    return f"  {_post(f'{base}/setup', admin)}"


def _post(url: str, body: dict[str, str]) -> str:
    return f"curl -s {url} -H 'Content-Type: application/json' -d '{json.dumps(body)}'"


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
