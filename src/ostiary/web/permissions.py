"""Permissions: the closed set of what may be allowed beside one's own affairs, and how rights compare.

An endpoint names the permission that it asks for; roles hand permissions out (`roles/`). Superusers have all of them,
and beyond them what only superusers do.
"""

from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeAlias, get_args

Permission: TypeAlias = Literal[
    "users:read",
    "users:write",
    "users:delete",
    "sessions:write",
    "audit:read",
    "roles:write",
    "clients:write",
    "keys:write",
]
"""What may be allowed, one word for each. Tokens, roles and API keys carry these words, so none ever changes."""

PERMISSIONS: tuple[Permission, ...] = get_args(Permission)


class Rights(NamedTuple):
    """What somebody may do beyond his own affairs."""

    is_superuser: bool
    permissions: frozenset[str] = frozenset()
    """By name. Of a superuser, all; a stored name that this version does not know allows nothing here."""

    @classmethod
    def of(cls, *, is_superuser: bool, granted: Iterable[str] = ()) -> "Rights":
        """Answer the rights of a user whose roles grant these permissions."""
        return cls(is_superuser, frozenset(granted).union(PERMISSIONS if is_superuser else ()))

    def may(self, permission: Permission) -> bool:
        """Say whether something is allowed."""
        return permission in self.permissions

    def covers(self, other: "Rights") -> bool:
        """Say whether these rights are at least the others' (AD-4): what a superuser has, only a superuser covers."""
        return self.is_superuser or (not other.is_superuser and other.permissions <= self.permissions)

    def within(self, bounds: "Rights") -> "Rights":
        """Answer what is left of these rights within bounds: what both allow."""
        return Rights(self.is_superuser and bounds.is_superuser, self.permissions & bounds.permissions)


NO_RIGHTS = Rights.of(is_superuser=False)
ALL_RIGHTS = Rights.of(is_superuser=True)
