"""What the account endpoints read and answer."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from ostiary.users.profiles import MAX_LANGUAGE_LENGTH, Profile
from ostiary.users.schemas import EXAMPLE_USER, UserOut, timestamp, user_out
from ostiary.web.body import Body, Verbatim

_METADATA: JsonDict = {"theme": "dark", "newsletter": True}


class ProfileOut(BaseModel):
    """The caller, and what is known of him beside."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "user": EXAMPLE_USER,
                "email_verified": True,
                "last_login_at": "2024-01-01T00:00:00",
                "mfa_enabled": False,
                "roles": [],
                "language": "de",
                "metadata": _METADATA,
            }
        }
    )

    user: UserOut
    email_verified: bool = Field(description="Whether mail to the address has been shown to reach the user.")
    last_login_at: str | None = Field(
        description="When a session last began, like the other times.",
        pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}$",
    )
    mfa_enabled: bool
    roles: list[str]
    language: str | None
    metadata: dict[str, Any] = Field(description="What applications keep with the user; never looked into.")


class ProfileRequest(Body):
    """What is to change; a member that is missing stays as it is."""

    model_config = ConfigDict(json_schema_extra={"example": {"language": "de", "metadata": _METADATA}})

    language: str | None = Field(
        default=None,
        description="A BCP 47 language tag; null takes it away.",
        json_schema_extra={"maxLength": MAX_LANGUAGE_LENGTH},
    )
    metadata: dict[str, Any] = Field(
        default_factory=dict,
        description="An object of at most 16 KiB, in place of the one before.",
    )


class UsernameRequest(Body):
    """The username that the caller wants."""

    model_config = ConfigDict(json_schema_extra={"example": {"username": "username"}})

    username: str = Field(
        description="3 to 64 characters of A-Z a-z 0-9 . _ -",
        json_schema_extra={"pattern": "^[A-Za-z0-9._-]{3,64}$"},
    )


class ExportOut(BaseModel):
    """Everything that is kept of the caller."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "exported_at": "2024-01-01T00:00:00",
                "user": EXAMPLE_USER,
                "profile": {
                    "email_verified_at": "2024-01-01T00:00:00",
                    "last_login_at": None,
                    "language": "de",
                    "metadata": _METADATA,
                },
                "email_change": None,
                "password": {"set_at": "2024-01-01T00:00:00"},
                "roles": [],
                "sessions": [],
                "api_keys": [],
                "known_networks": [{"network": "192.0.2.0/24", "seen_at": "2024-01-01T00:00:00"}],
                "waiting_mails": [],
                "events": [],
                "cut_off": [],
            }
        }
    )

    exported_at: str = Field(description="UTC, to the second, like all times in it.")
    user: UserOut
    profile: dict[str, Any]
    email_change: dict[str, Any] | None = Field(
        description="The address that the caller asked for and has not proven yet."
    )
    password: dict[str, Any] = Field(description="When it was stored; never the password, nor its hash.")
    roles: list[str]
    sessions: list[dict[str, Any]] = Field(description="Also those that have ended, until they are cleared away.")
    api_keys: list[dict[str, Any]]
    known_networks: list[dict[str, Any]] = Field(description="From where the caller has signed in.")
    waiting_mails: list[dict[str, Any]] = Field(description="Mails to him that have not left yet.")
    events: list[dict[str, Any]] = Field(description="What the audit log says of him.")
    cut_off: list[str] = Field(description="Which of the lists hold only the newest 5000 entries.")


class PasswordRequest(Body):
    """The password that the caller has, and the one that he wants."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"current_password": "password123", "new_password": "StrongPass123!"}}
    )

    current_password: Verbatim
    new_password: str = Field(
        description="8 to 256 characters that are not easy to guess.",
        json_schema_extra={"format": "password", "minLength": 8, "maxLength": 256},
    )


def profile_out(profile: Profile, roles: list[str]) -> dict[str, Any]:
    """Show a profile."""
    last_login_at = profile.last_login_at
    return {
        "user": user_out(profile.user),
        "email_verified": profile.email_verified_at is not None,
        "last_login_at": None if last_login_at is None else timestamp(last_login_at),
        "mfa_enabled": False,
        "roles": roles,
        "language": profile.language,
        "metadata": profile.metadata,
    }
