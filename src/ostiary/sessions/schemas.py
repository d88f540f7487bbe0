"""What the token endpoints read and answer."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from ostiary.sessions.tokens import TokenPair
from ostiary.web.body import Body
from ostiary.web.render import JSON

_EXAMPLE = "eyJ0eXAiOiJKV1QiLCJhbGc..."


class TokenPairOut(BaseModel):
    """An access token for the API and a refresh token for the next pair."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"access_token": _EXAMPLE, "refresh_token": _EXAMPLE, "token_type": "bearer"}}
    )

    access_token: str = Field(description="Short-lived; goes into Authorization: Bearer.")
    refresh_token: str = Field(description="Good for one refresh, which answers the next one.")
    token_type: Literal["bearer"]


class RefreshRequest(Body):
    """The refresh token that is to be spent."""

    model_config = ConfigDict(json_schema_extra={"example": {"refresh_token": _EXAMPLE}})

    refresh_token: str


def token_pair_response(pair: TokenPair) -> Response:
    """Answer a token pair in the contract's three members."""
    access, refresh = pair.access_token, pair.refresh_token  # in base64url and dots, so there is nothing to escape
    return JSON(f'{{"access_token":"{access}","refresh_token":"{refresh}","token_type":"bearer"}}'.encode())
