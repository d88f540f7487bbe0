"""What the endpoints for administrators read."""

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from ostiary.web.body import Body


def _optional(schema: JsonDict) -> None:
    """Leave out the default, which stands for a member that is missing and is none of its values."""
    schema.pop("default", None)


class ChangeUserRequest(Body):
    """What is to change; a member that is missing stays as it is."""

    model_config = ConfigDict(json_schema_extra={"example": {"username": "username", "is_active": False}})

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
