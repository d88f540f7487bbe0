"""Everything that is kept of a user, for himself (LA-4).

What each slice keeps is a part of the document. A slice that begins to keep something more adds a line to `PARTS`; a
test knows every table that names a user, and fails for one that is in no part.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import Connection

from ostiary.accounts.own import read_profile
from ostiary.api_keys.models import keys_of
from ostiary.api_keys.schemas import key_out
from ostiary.audit.listing import rows_about
from ostiary.audit.models import AuditRow
from ostiary.audit.schemas import audit_out
from ostiary.credentials.models import password_set_at
from ostiary.login.places import places_of
from ostiary.mail.outbox import waiting_mails
from ostiary.roles.models import roles_of
from ostiary.sessions.ending import StoredSession, stored_sessions
from ostiary.users.schemas import timestamp, user_out
from ostiary.verification.addresses import pending_change

MOST_IN_A_LIST = 5000
"""Of any list the newest: others than the user may have made it long, by trying to sign in as him."""

Part: TypeAlias = Callable[[Connection, int], Any]


def export_account(connection: Connection, user_id: int, *, now: datetime) -> dict[str, Any]:
    """Answer everything that is kept of the caller, from one snapshot. Raises InvalidCredentials."""
    document = {"exported_at": timestamp(now)} | {name: part(connection, user_id) for name, part in PARTS.items()}
    cut_off = [name for name, part in document.items() if isinstance(part, list) and len(part) > MOST_IN_A_LIST]
    for name in cut_off:
        document[name] = document[name][:MOST_IN_A_LIST]
    return document | {"cut_off": cut_off}


def _user(connection: Connection, user_id: int) -> dict[str, Any]:
    return user_out(read_profile(connection, user_id).user)


def _profile(connection: Connection, user_id: int) -> dict[str, Any]:
    profile = read_profile(connection, user_id)
    return {
        "email_verified_at": _moment(profile.email_verified_at),
        "last_login_at": _moment(profile.last_login_at),
        "language": profile.language,
        "metadata": profile.metadata,
    }


def _email_change(connection: Connection, user_id: int) -> dict[str, Any] | None:
    pending = pending_change(connection, user_id)
    return None if pending is None else {"new_email": pending[0], "asked_at": timestamp(pending[1])}


def _password(connection: Connection, user_id: int) -> dict[str, Any]:
    return {"set_at": _moment(password_set_at(connection, user_id))}


def _sessions(connection: Connection, user_id: int) -> list[dict[str, Any]]:
    return [_session(session) for session in stored_sessions(connection, user_id, limit=MOST_IN_A_LIST + 1)]


def _session(session: StoredSession) -> dict[str, Any]:
    return {
        "id": session.id,
        "created_at": timestamp(session.created_at),
        "authenticated_at": timestamp(session.authenticated_at),
        "last_used_at": timestamp(session.last_used_at),
        "expires_at": timestamp(session.expires_at),
        "ended_at": _moment(session.revoked_at),
        "ended_because": session.revoked_because,
        "ip": session.address or None,
        "user_agent": session.user_agent,
        "amr": session.amr.split(),
    }


def _api_keys(connection: Connection, user_id: int) -> list[dict[str, Any]]:
    return [key_out(key) for key in keys_of(connection, user_id, skip=0, limit=MOST_IN_A_LIST + 1).items]


def _known_networks(connection: Connection, user_id: int) -> list[dict[str, Any]]:
    places = places_of(connection, user_id)
    return [{"network": network, "seen_at": timestamp(places[network])} for network in sorted(places)]


def _mails(connection: Connection, user_id: int) -> list[dict[str, Any]]:
    mails = waiting_mails(connection, user_id, limit=MOST_IN_A_LIST + 1)
    return [{"message": message, "created_at": timestamp(created_at)} for message, created_at in mails]


def _events(connection: Connection, user_id: int) -> list[dict[str, Any]]:
    return [_event(row, user_id) for row in rows_about(connection, user_id, limit=MOST_IN_A_LIST + 1)]


def _event(row: AuditRow, user_id: int) -> dict[str, Any]:
    """Show an event; where another signed-in user was from, an administrator say, is that one's own affair."""
    others = {} if row.actor_id in {None, user_id} else {"ip": None, "user_agent": None}
    return audit_out(row) | others


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else timestamp(moment)


PARTS: Mapping[str, Part] = {
    "user": _user,
    "profile": _profile,
    "email_change": _email_change,
    "password": _password,
    "roles": roles_of,
    "sessions": _sessions,
    "api_keys": _api_keys,
    "known_networks": _known_networks,
    "waiting_mails": _mails,
    "events": _events,
}
"""What the document holds, in its order: how each part is read."""
