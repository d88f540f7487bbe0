"""What the endpoints for administrators read."""

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from ostiary.roles.granting import MAX_ROLES_PER_USER
from ostiary.users.address import MAX_ADDRESS_LENGTH
from ostiary.web.body import Body


def _optional(schema: JsonDict) -> None:
    """Leave out the default, which stands for a member that is missing and is none of its values."""
    schema.pop("default", None)


def _address(schema: JsonDict) -> None:
    """Say what an address is, and leave out the default."""
    schema.pop("default", None)
    schema |= {"format": "email", "maxLength": MAX_ADDRESS_LENGTH}


class ChangeUserRequest(Body):
    """What is to change; a member that is missing stays as it is."""

    model_config = ConfigDict(json_schema_extra={"example": {"username": "username", "is_active": False}})

    email: str = Field(
        default="",
        description="The address that the user is to have. It is mailed for proof, and becomes his once that is given.",
        json_schema_extra=_address,
    )
    username: str = Field(
        default="",
        description="3 to 64 characters of A-Z a-z 0-9 . _ -",
        json_schema_extra=_optional,
        pattern=None,
    )
    is_active: bool = Field(
        default=False,
        description="Whether the user may sign in. `false` ends everything that he holds at once.",
        json_schema_extra=_optional,
    )
    is_superuser: bool = Field(default=False, description="Changed by superusers only.", json_schema_extra=_optional)


class InviteRequest(Body):
    """Who is to be invited."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"email": "user@example.com", "username": "username", "roles": ["support"]}}
    )

    email: str = Field(
        description="One mailbox: an ASCII local part, a domain in ASCII or Unicode; at most 254 bytes.",
        json_schema_extra={"format": "email", "maxLength": MAX_ADDRESS_LENGTH},
    )
    username: str = Field(
        default="", description="Proposed; whoever accepts may choose another.", json_schema_extra=_optional
    )
    roles: list[str] = Field(
        default_factory=list,
        max_length=MAX_ROLES_PER_USER,
        description="Given to whoever accepts. Takes the permission `roles:write`, and all that the roles give.",
        json_schema_extra=_optional,
    )
