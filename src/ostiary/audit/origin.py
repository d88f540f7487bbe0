"""Where an act comes from: who does it, and through which request."""

from enum import StrEnum
from typing import NamedTuple

from starlette.requests import Request

from ostiary.edge.source import source_in
from ostiary.logs import REQUEST_ID
from ostiary.web.caller import caller_in

_USER_AGENT_LENGTH = 256


class Kind(StrEnum):
    """Through what an act came about."""

    REQUEST = "request"
    OPERATOR = "operator"
    """The command line."""
    SYSTEM = "system"
    """The server by itself."""


class Origin(NamedTuple):
    """Who acts, and from where. Every flow that changes the state of security takes one."""

    actor_id: int | None
    """The signed-in user; None for somebody who is not, or not yet."""
    address: str
    user_agent: str
    request_id: str
    kind: Kind = Kind.REQUEST
    key_id: str = ""
    """The API key with which a program acts for the user; empty for himself, in a session."""

    def by(self, user_id: int) -> "Origin":
        """Answer the same, for somebody who has just proven who he is."""
        return self._replace(actor_id=user_id)


OPERATOR = Origin(None, "", "", "", Kind.OPERATOR)
SYSTEM = Origin(None, "", "", "", Kind.SYSTEM)


def origin_of(request: Request) -> Origin:
    """Answer where a request comes from."""
    caller = caller_in(request.scope)
    return Origin(
        actor_id=None if caller is None else caller.user_id,
        address=source_in(request.scope).address,
        user_agent=request.headers.get("user-agent", "")[:_USER_AGENT_LENGTH],
        request_id=REQUEST_ID.get(""),
        key_id="" if caller is None else caller.key_id,
    )
