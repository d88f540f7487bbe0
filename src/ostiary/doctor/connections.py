"""How many connections a PostgreSQL has left. What only speaks its language may not know: then nothing is found."""

from collections.abc import Iterable

from sqlalchemy import Connection, column, func, select, table
from sqlalchemy.exc import DBAPIError

from ostiary.db.postgres import POOL_SIZE
from ostiary.doctor.faults import Finding, found
from ostiary.doctor.patient import Patient

_activity = table("pg_stat_activity", column("pid"))


async def look_at_connections(patient: Patient) -> Iterable[Finding]:
    """See whether a server could open as many as it may."""
    if patient.database.engine != "postgresql":
        return []
    try:
        left, most = await patient.database.read(_left)
    except DBAPIError:
        return []
    if left < POOL_SIZE:
        return [found("few-connections-left", f"{left} of {most} are left; a server may open {POOL_SIZE}")]
    return []


def _left(connection: Connection) -> tuple[int, int]:
    most = int(connection.execute(select(func.current_setting("max_connections"))).scalar_one())
    return most - int(connection.execute(select(func.count(_activity.c.pid))).scalar_one()), most
