"""What the role endpoints read and answer."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from ostiary.roles.definitions import MAX_DESCRIPTION_LENGTH
from ostiary.roles.models import NAME, Role
from ostiary.web.body import Body
from ostiary.web.permissions import PERMISSIONS, Permission

_EXAMPLE: JsonDict = {
    "name": "support",
    "description": "Answers users' questions",
    "permissions": ["users:read", "sessions:write"],
}
_PATTERN = f"^{NAME.pattern}$"


class RoleOut(BaseModel):
    """A role."""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE})

    name: str = Field(pattern=_PATTERN)
    description: str
    permissions: list[Permission] = Field(description="What it allows, each once.")


class RolePage(BaseModel):
    """One page of roles, in the order of their names."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [_EXAMPLE], "total": 1, "skip": 0, "limit": 10}})

    items: list[RoleOut]
    total: int = Field(ge=0, description="How many there are.")
    skip: int = Field(ge=0)
    limit: int = Field(ge=1, le=100)


class RoleRequest(Body):
    """A role that is to be made."""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE})

    name: str = Field(
        description="1 to 64 characters of a-z 0-9 _ -, a letter first. It stays.",
        json_schema_extra={"pattern": _PATTERN},
    )
    description: str = Field(
        default="", description="What it is for: one line.", json_schema_extra={"maxLength": MAX_DESCRIPTION_LENGTH}
    )
    permissions: list[Permission] = Field(
        max_length=len(PERMISSIONS), description="What it is to allow, from what the caller may do."
    )


class RoleChange(Body):
    """What is to change of a role; a member that is missing stays as it is."""

    model_config = ConfigDict(json_schema_extra={"example": {"permissions": ["users:read"]}})

    description: str = Field(
        default="", description="What it is for: one line.", json_schema_extra={"maxLength": MAX_DESCRIPTION_LENGTH}
    )
    permissions: list[Permission] = Field(
        default_factory=list,
        max_length=len(PERMISSIONS),
        description="What it is to allow, in place of what it allows now.",
    )


def role_out(role: Role) -> dict[str, Any]:
    """Show a role (AD-5)."""
    known = [permission for permission in PERMISSIONS if permission in role.permissions]
    return {"name": role.name, "description": role.description, "permissions": known}
