"""What the token endpoints read and answer."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict
from starlette.responses import Response

from ostiary.sessions.ending import LiveSession
from ostiary.sessions.tokens import TokenPair
from ostiary.users.schemas import timestamp
from ostiary.web.body import Body
from ostiary.web.render import JSON

_EXAMPLE = "eyJ0eXAiOiJKV1QiLCJhbGc..."
_SECOND = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}$"
_EXAMPLE_SESSION: JsonDict = {
    "id": "Zk3b1qVtQmSZ0m7cPqWJxA",
    "created_at": "2024-01-01T00:00:00",
    "last_used_at": "2024-01-02T03:04:00",
    "expires_at": "2024-01-09T00:00:00",
    "ip": "192.0.2.1",
    "user_agent": "Mozilla/5.0",
    "amr": ["pwd"],
    "current": True,
}


class TokenPairOut(BaseModel):
    """An access token for the API and a refresh token for the next pair."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"access_token": _EXAMPLE, "refresh_token": _EXAMPLE, "token_type": "bearer"}}
    )

    access_token: str = Field(description="Short-lived; goes into Authorization: Bearer.")
    refresh_token: str = Field(description="Good for one refresh, which answers the next one.")
    token_type: Literal["bearer"]


class SessionOut(BaseModel):
    """One sign-in on one device."""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE_SESSION})

    id: str = Field(description="Stays for the session's life; `sid` in its tokens.")
    created_at: str = Field(pattern=_SECOND)
    last_used_at: str = Field(description="To the minute.", pattern=_SECOND)
    expires_at: str = Field(description="When it ends unless it is refreshed before.", pattern=_SECOND)
    ip: str | None = Field(description="Where it began; null once that is forgotten, after 90 days.")
    user_agent: str
    amr: list[str] = Field(description="How its user proved who he is (RFC 8176).")
    current: bool = Field(description="Whether it is the session that asks.")


class SessionPage(BaseModel):
    """Some of a user's sessions that go on, the newest first."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"items": [_EXAMPLE_SESSION], "total": 1, "skip": 0, "limit": 10}}
    )

    items: list[SessionOut]
    total: int = Field(ge=0)
    skip: int = Field(ge=0)
    limit: int = Field(ge=1, le=100)


class RefreshRequest(Body):
    """The refresh token that is to be spent."""

    model_config = ConfigDict(json_schema_extra={"example": {"refresh_token": _EXAMPLE}})

    refresh_token: str


def session_out(session: LiveSession, *, current_id: str | None) -> dict[str, Any]:
    """Show a session."""
    return {
        "id": session.id,
        "created_at": timestamp(session.created_at),
        "last_used_at": timestamp(session.last_used_at),
        "expires_at": timestamp(session.expires_at),
        "ip": session.address or None,
        "user_agent": session.user_agent,
        "amr": session.amr.split(),
        "current": session.id == current_id,
    }


def token_pair_response(pair: TokenPair) -> Response:
    """Answer a token pair in the contract's three members."""
    access, refresh = pair.access_token, pair.refresh_token  # in base64url and dots, so there is nothing to escape
    return JSON(f'{{"access_token":"{access}","refresh_token":"{refresh}","token_type":"bearer"}}'.encode())
