"""What the user endpoints read and answer. The contract's own shapes never grow."""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from ostiary.users.models import User
from ostiary.web.body import Body
from ostiary.web.render import timestamp as timestamp  # noqa: PLC0414 - whoever shows users takes it from here

_quote = json.encoder.encode_basestring
_WORDS = {True: "true", False: "false"}

EXAMPLE_USER: JsonDict = {
    "id": 1,
    "email": "user@example.com",
    "username": "username",
    "is_active": True,
    "is_superuser": False,
    "created_at": "2024-01-01T00:00:00",
    "updated_at": "2024-01-01T00:00:00",
}


class UserOut(BaseModel):
    """A user."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE_USER})

    id: int = Field(ge=1, description="Given out once, never again.")
    email: str
    username: str
    is_active: bool
    is_superuser: bool
    created_at: str = Field(
        description="UTC, to the second, without offset.", pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}$"
    )
    updated_at: str = Field(
        description="UTC, to the second, without offset.", pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}$"
    )


class UserPage(BaseModel):
    """One page of users."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"items": [EXAMPLE_USER], "total": 100, "skip": 0, "limit": 10}}
    )

    items: list[UserOut]
    total: int = Field(ge=0, description="How many users the caller may see.")
    skip: int = Field(ge=0)
    limit: int = Field(ge=1, le=100)


class SignUpRequest(Body):
    """Who wants an account."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"email": "user@example.com", "username": "username", "password": "StrongPass123!"}
        }
    )

    email: str = Field(
        description="One mailbox: an ASCII local part, a domain in ASCII or Unicode; at most 254 bytes.",
        json_schema_extra={"format": "email", "maxLength": 254},
    )
    username: str = Field(
        description="3 to 64 characters of A-Z a-z 0-9 . _ -",
        json_schema_extra={"pattern": "^[A-Za-z0-9._-]{3,64}$"},
    )
    password: str = Field(
        description="8 to 256 characters that are not easy to guess.",
        json_schema_extra={"format": "password", "minLength": 8, "maxLength": 256},
    )


def user_out(user: User) -> dict[str, Any]:
    """Show a user: the contract's members, in its order (AD-5)."""
    return {
        "id": user.id,
        "email": user.email,
        "username": user.username,
        "is_active": user.is_active,
        "is_superuser": user.is_superuser,
        "created_at": timestamp(user.created_at),
        "updated_at": timestamp(user.updated_at),
    }


def user_json(user: User) -> str:
    """Write what `user_out` shows as JSON: one of the busiest answers, so by hand."""
    return (
        f'{{"id":{user.id},"email":{_quote(user.email)},"username":{_quote(user.username)},'
        f'"is_active":{_WORDS[user.is_active]},"is_superuser":{_WORDS[user.is_superuser]},'
        f'"created_at":"{timestamp(user.created_at)}","updated_at":"{timestamp(user.updated_at)}"}}'
    )
