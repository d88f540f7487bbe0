"""Who is asking. The type, and what a handler may demand of it; `sessions` recognises callers."""

from collections.abc import MutableMapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.requests import Request

from ostiary.db.types import EPOCH
from ostiary.problems import InvalidCredentials
from ostiary.web.permissions import Permission, Rights

_CALLER = "ostiary.caller"


@dataclass(frozen=True, slots=True)
class Caller:
    """A user in one of his sessions, or a program with one of his API keys."""

    user_id: int
    session_id: str
    """Empty for an API key: then nothing that needs a session may be done."""
    is_superuser: bool
    permissions: frozenset[str] = frozenset()
    """What his roles allow him, as it is at this request; of an API key, no more than its scopes name."""
    authenticated_at: datetime = EPOCH
    """When he last proved in this session who he is; long ago where nobody says."""
    key_id: str = ""
    """The API key's id; empty for a session."""

    @property
    def has_session(self) -> bool:
        """Say whether a person is there, signed in, and not a program with a key."""
        return self.session_id != ""

    @property
    def rights(self) -> Rights:
        """All that he may do beyond his own affairs."""
        return Rights.of(is_superuser=self.is_superuser, granted=self.permissions)

    def may(self, permission: Permission) -> bool:
        """Say whether he has a permission: superusers have all."""
        return self.is_superuser or permission in self.permissions


def put_caller(scope: MutableMapping[str, Any], caller: Caller) -> None:
    """Leave the recognised caller where handlers find him."""
    scope[_CALLER] = caller


def caller_in(scope: MutableMapping[str, Any]) -> Caller | None:
    """Answer the recognised caller of a request, if it brought a token."""
    caller: Caller | None = scope.get(_CALLER)
    return caller


def caller_of(request: Request) -> Caller:
    """Answer the caller. Raises InvalidCredentials for a request without a token."""
    caller = caller_in(request.scope)
    if caller is None:
        raise InvalidCredentials(reason="no token")
    return caller
