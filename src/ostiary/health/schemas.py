"""What the health endpoints answer, for the API reference."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Health(BaseModel):
    """The state of the service and of its database."""

    model_config = ConfigDict(json_schema_extra={"example": {"status": "healthy", "database": "healthy"}})

    status: Literal["healthy", "unhealthy"]
    database: Literal["healthy", "unhealthy"]


class Probe(BaseModel):
    """The answer to a probe; the HTTP status says the same."""

    model_config = ConfigDict(json_schema_extra={"example": {"status": "ok"}})

    status: Literal["ok", "unavailable"]
