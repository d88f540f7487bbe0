"""What the audit endpoint answers."""

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from ostiary.audit.events import Event
from ostiary.audit.models import AuditRow
from ostiary.audit.origin import Kind
from ostiary.web.render import timestamp

_EXAMPLE: JsonDict = {
    "id": "018cc251f4004f7d1c0a9e52b86340de",
    "at": "2024-01-01T00:00:00",
    "event": "user_deactivated",
    "actor": 1,
    "target": 7,
    "ip": "192.0.2.1",
    "user_agent": "Mozilla/5.0",
    "request_id": "5f0c1d9a7be34c62",
    "details": {},
}


class AuditItem(BaseModel):
    """One event."""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE})

    id: str
    at: str = Field(description="UTC, to the second, without offset.", pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}$")
    event: Event
    actor: int | Literal["operator", "system"] | None = Field(
        description="The id of the user who acted, signed in; `operator` for the command line, `system` for the server "
        "by itself; null for somebody who was not signed in."
    )
    target: int | None = Field(description="The id of the user whom it concerns.")
    ip: str | None = Field(description="Kept for 90 days.")
    user_agent: str | None = Field(description="Kept for 90 days.")
    request_id: str | None = Field(description="The `X-Request-ID` of the request.")
    details: dict[str, Any] = Field(description="Depends on the event; no secrets and no personal data.")


class AuditList(BaseModel):
    """One page of the audit log, the newest first."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"items": [_EXAMPLE], "total": 100, "skip": 0, "limit": 10}}
    )

    items: list[AuditItem]
    total: int = Field(ge=0, description="How many events fit; with `X-Total-Capped: true`, at least so many.")
    skip: int = Field(ge=0)
    limit: int = Field(ge=1, le=100)


def audit_out(row: AuditRow) -> dict[str, Any]:
    """Show a row: what happened, not what the chain needs."""
    return {
        "id": row.id,
        "at": timestamp(row.at),
        "event": row.event,
        "actor": row.actor_id if row.origin == Kind.REQUEST else row.origin,
        "target": row.user_id,
        "ip": row.address or None,
        "user_agent": row.user_agent or None,
        "request_id": row.request_id or None,
        "details": json.loads(row.details),
    }
