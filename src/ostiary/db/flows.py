"""Running a flow: what happens to its writes when it refuses, and which isolation it asks for."""

from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection

P = ParamSpec("P")
T = TypeVar("T")
Flow = Callable[Concatenate[Connection, P], T]

_READ_COMMITTED = "ostiary_read_committed"


def read_committed(*, why: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Let a writing flow run READ COMMITTED on PostgreSQL instead of SERIALIZABLE.

    Only for a flow that rests on constraints, row locks or one conditional statement, so that no interleaving
    can break it. `why` is the written reason; it is kept on the function for readers and tests.
    """

    def mark(flow: Callable[P, T]) -> Callable[P, T]:
        setattr(flow, _READ_COMMITTED, why)
        return flow

    return mark


def isolation_of(flow: Callable[..., object]) -> str:
    """Answer the isolation level in which PostgreSQL runs this writing flow."""
    return "READ COMMITTED" if hasattr(flow, _READ_COMMITTED) else "SERIALIZABLE"
