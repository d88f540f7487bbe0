"""What the verification endpoints read."""

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from ostiary.web.body import Body

_EMAIL: JsonDict = {"format": "email", "maxLength": 254}
_PASSWORD: JsonDict = {"format": "password", "minLength": 8, "maxLength": 256}
_MAILED = "From the link in the mail; good once."


class AddressRequest(Body):
    """An address. Any text is taken: what it is worth shows in its mailbox only."""

    model_config = ConfigDict(json_schema_extra={"example": {"email": "user@example.com"}})

    email: str = Field(description="Where mail is wanted; every answer is the same.")


class TokenRequest(Body):
    """A token from a mail."""

    model_config = ConfigDict(json_schema_extra={"example": {"token": "…"}})

    token: str = Field(description=_MAILED)


class ResetRequest(Body):
    """A token from a mail, and the new password."""

    model_config = ConfigDict(json_schema_extra={"example": {"token": "…", "new_password": "StrongPass123!"}})

    token: str = Field(description=_MAILED)
    new_password: str = Field(
        description="8 to 256 characters that are not easy to guess.", json_schema_extra=_PASSWORD
    )


class EmailChangeRequest(Body):
    """The address that the caller would like to have."""

    model_config = ConfigDict(json_schema_extra={"example": {"new_email": "new@example.com"}})

    new_email: str = Field(
        description="One mailbox: an ASCII local part, a domain in ASCII or Unicode; at most 254 bytes.",
        json_schema_extra=_EMAIL,
    )


class AcceptRequest(Body):
    """Who accepts an invitation."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"token": "…", "username": "username", "password": "StrongPass123!"}}
    )

    token: str = Field(description=_MAILED)
    username: str | None = Field(
        None,
        description="3 to 64 characters of A-Z a-z 0-9 . _ -; may be left out where the invitation proposes one.",
        json_schema_extra={"pattern": "^[A-Za-z0-9._-]{3,64}$"},
    )
    password: str = Field(description="8 to 256 characters that are not easy to guess.", json_schema_extra=_PASSWORD)
