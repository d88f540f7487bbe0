"""What an endpoint declares about itself: who may call, what it reads and answers, how it can refuse.

Routing, access checks, the limits' exemptions and the API reference all come from the same declaration, so that none
of them can be forgotten for a new endpoint (AD-2).
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from ostiary.problems import Problem
from ostiary.web.permissions import Permission

if TYPE_CHECKING:
    from ostiary.context import App

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]


class Access(Enum):
    """Who may call."""

    PUBLIC = auto()
    """Anybody. A bad token is refused all the same."""
    SIGNED_IN = auto()
    """Whoever brings a live access token, and has the endpoint's permission if it names one."""
    RECENT = auto()
    """The same, if he has proven within the last minutes who he is (MF-4)."""


class APIKeys(Enum):
    """Whether an API key may stand in the place of an access token (AK-1). Never where a session must be recent."""

    BY_PERMISSION = auto()
    """A key whose scopes and owner have the endpoint's permission; none where the endpoint names no permission."""
    READ_THEIR_OWNER = auto()
    """Any key: nothing is changed, and nothing shown but the owner, or what the key's scopes name besides."""
    REFUSED = auto()
    """None, whatever its scopes: what is done would outlive or widen the key."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A path or query parameter, as the API reference shows it; the handler parses it."""

    name: str
    place: str
    """`path` or `query`."""
    meaning: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path."""

    method: str
    path: str
    handler: Handler
    access: Access
    tag: str
    summary: str
    permission: Permission | None = None
    """What a caller must be allowed to do; superusers always are. None where it is about his own affairs."""
    api_keys: APIKeys = APIKeys.BY_PERMISSION
    answer: type[BaseModel] | None = None
    """The model of a successful body; None for 204."""
    status: int = 200
    body: type[BaseModel] | None = None
    parameters: tuple[Parameter, ...] = ()
    problems: tuple[type[Problem], ...] = ()
    """Refusals of its own, beside those that follow from the members above."""
    also: Mapping[int, tuple[str, type[BaseModel], Mapping[str, Any]]] = field(default_factory=dict)
    """Further answers that are no refusals: description, model and example by status."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Further headers of a successful answer, each with its meaning."""
    is_limited: bool = True
    """False for what probes ask: it does not count against the request limits, and no token is looked at."""
    judges_token: bool = False
    """True where the bearer token is of another kind, which the handler judges. It counts by address all the same."""
    is_hot: bool = False
    """True for the busiest calls, which take the hot lane. The path is whole, or ends in a parameter that is a number;
    the handler answers with a whole body."""
    media_type: str = "application/json"
    name: str = ""
    """What client generators will call the operation, where method and path make no telling name (`operation_id`)."""

    @property
    def takes_api_keys(self) -> bool:
        """Whether some API key gets as far as the handler."""
        if self.access is not Access.SIGNED_IN or self.api_keys is APIKeys.REFUSED:
            return False
        return self.api_keys is APIKeys.READ_THEIR_OWNER or self.permission is not None

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods it answers: HEAD works wherever GET does."""
        return ("GET", "HEAD") if self.method == "GET" else (self.method,)


def app_of(request: Request) -> "App":
    """Answer the App that serves this request."""
    return cast("App", request.app.state.ostiary)
