"""Who acts on an account: its user himself, or somebody else whom a notice should name."""

from sqlalchemy import Connection

from ostiary.audit.origin import Kind, Origin
from ostiary.users.models import user_by_id


def administrator_of(connection: Connection, user_id: int, origin: Origin) -> str | None:
    """Answer the username of who does something to somebody else's account; None for himself and the command line."""
    if origin.kind is not Kind.REQUEST or origin.actor_id in {None, user_id}:
        return None
    actor = user_by_id(connection, origin.actor_id)
    return None if actor is None else actor.username
