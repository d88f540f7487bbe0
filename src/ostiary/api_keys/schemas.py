"""What the key endpoints read and answer."""

import re
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from ostiary.api_keys.making import MAX_NAME_LENGTH
from ostiary.api_keys.models import APIKey
from ostiary.problems import InvalidInput
from ostiary.users.schemas import timestamp
from ostiary.web.body import Body
from ostiary.web.permissions import Permission

_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z?")
_SECONDS = slice(len("2024-01-01T00:00:00"))
_MOST_SCOPES = 32

_EXAMPLE: JsonDict = {
    "id": "1CkYwq4fU0ovmP8sAb3ZtE",
    "name": "nightly export",
    "scopes": ["users:read"],
    "created_at": "2024-01-01T00:00:00",
    "expires_at": "2024-03-31T00:00:00",
}
_EXAMPLE_LISTED: JsonDict = _EXAMPLE | {"last_used_at": "2024-01-02T03:04:00"}
_EXAMPLE_MADE: JsonDict = _EXAMPLE | {"key": "ost_1CkYwq4fU0ovmP8sAb3ZtE_…"}


class APIKeyRequest(Body):
    """What a new key is for, what it may do, and how long."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"name": "nightly export", "scopes": ["users:read"], "expires_at": "2024-03-31T00:00:00"}
        }
    )

    name: str = Field(
        description="Tells people what it is for: 1 to 64 printable characters.",
        json_schema_extra={"minLength": 1, "maxLength": MAX_NAME_LENGTH},
    )
    scopes: list[Permission] = Field(
        default=[],
        max_length=_MOST_SCOPES,
        description="Permissions, of those that its owner holds. A key without any reads its owner and nothing else.",
    )
    expires_at: str | None = Field(
        default=None,
        description="UTC, to the second. In 90 days if nothing is said, and at most 365 days ahead.",
        json_schema_extra={"examples": ["2024-03-31T00:00:00"]},
    )


class ServiceAccountRequest(Body):
    """A program that is to have an account of its own."""

    model_config = ConfigDict(json_schema_extra={"example": {"username": "nightly-export", "roles": ["auditor"]}})

    username: str = Field(
        description="3 to 64 characters of A-Z a-z 0-9 . _ -, with which an address can begin.",
        json_schema_extra={"pattern": "^[A-Za-z0-9._-]{3,64}$"},
    )
    roles: list[str] = Field(
        default=[], max_length=_MOST_SCOPES, description="Names of roles, which give no more than the caller has."
    )


class APIKeyOut(BaseModel):
    """An API key, without the key itself, which was shown once."""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE_LISTED})

    id: str
    name: str
    scopes: list[str] = Field(description="In the order in which permissions are listed.")
    created_at: str
    expires_at: str
    last_used_at: str | None = Field(description="To the minute; null for a key that was never used.")


class NewAPIKeyOut(BaseModel):
    """A new API key. Nobody can see it again."""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE_MADE})

    id: str
    name: str
    scopes: list[str] = Field(description="In the order in which permissions are listed.")
    created_at: str
    expires_at: str
    key: str = Field(description="Goes into Authorization: Bearer.")


class APIKeyPage(BaseModel):
    """One page of API keys, the newest first."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"items": [_EXAMPLE_LISTED], "total": 1, "skip": 0, "limit": 10}}
    )

    items: list[APIKeyOut]
    total: int = Field(ge=0)
    skip: int = Field(ge=0)
    limit: int = Field(ge=1, le=100)


def moment_in(text: str | None) -> datetime | None:
    """Read `expires_at`. Raises InvalidInput."""
    if text is None:
        return None
    if _TIMESTAMP.fullmatch(text) is None:
        raise InvalidInput("expires_at: must be written like 2024-01-01T00:00:00, in UTC")
    try:
        return datetime.fromisoformat(text[_SECONDS]).replace(tzinfo=UTC)
    except ValueError:
        raise InvalidInput("expires_at: no date and time that exists") from None


def key_out(key: APIKey) -> dict[str, Any]:
    """Show a key as its owner may see it (AD-5)."""
    return _facts(key) | {"last_used_at": None if key.last_used_at is None else timestamp(key.last_used_at)}


def new_key_out(key: APIKey, plain: str) -> dict[str, Any]:
    """Show a new key, the only time that all of it can be seen."""
    return _facts(key) | {"key": plain}


def _facts(key: APIKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": list(key.scopes),
        "created_at": timestamp(key.created_at),
        "expires_at": timestamp(key.expires_at),
    }
