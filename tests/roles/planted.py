"""Roles put into the database beside the API, for tests that need somebody who has them."""

from collections.abc import Iterable

from sqlalchemy import Connection, delete, insert

from ostiary.roles.models import roles, user_roles, written
from tests.server import Server
from tests.sessions.beside import write


def plant_role(server: Server, name: str, *permissions: str) -> None:
    """Make a role."""
    plant_roles(server, [name], *permissions)


def plant_roles(server: Server, names: Iterable[str], *permissions: str) -> None:
    """Make several roles that permit the same."""
    now = server.clock.now()
    same = {"description": "", "permissions": written(permissions), "created_at": now, "updated_at": now}
    values = [{"name": name, **same} for name in names]

    def flow(connection: Connection) -> None:
        connection.execute(insert(roles), values)

    write(server.settings, flow)


def plant_holder(server: Server, user_id: int, *names: str) -> None:
    """Give somebody roles."""
    now = server.clock.now()

    def flow(connection: Connection) -> None:
        for name in names:
            connection.execute(insert(user_roles).values(user_id=user_id, role=name, granted_at=now))

    write(server.settings, flow)


def take_role(server: Server, user_id: int, name: str) -> None:
    """Take a role from somebody."""

    def flow(connection: Connection) -> None:
        connection.execute(delete(user_roles).where(user_roles.c.user_id == user_id, user_roles.c.role == name))

    write(server.settings, flow)
