"""FastAPI behind our edge: every HTTP request meets the edge first, and FastAPI only where the edge asks it."""

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ostiary.web.endpoint import Endpoint
from ostiary.web.mount import mount

Lifespan: TypeAlias = Callable[[FastAPI], AbstractAsyncContextManager[None]]


class Application(FastAPI):
    """What `create_app` answers. All that FastAPI would trace, log and document by itself is switched off."""

    def __init__(
        self, endpoints: Iterable[Endpoint], *, edge: Callable[[ASGIApp], ASGIApp], lifespan: Lifespan
    ) -> None:
        """Take the endpoints, what puts the edge around an application, and what runs at start and end."""
        super().__init__(
            title="Ostiary",
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
            lifespan=lifespan,
            telemetry={"tracing": False, "metrics": False, "logs": False},
        )
        self.add_exception_handler(Exception, _leave_to_the_edge)
        mount(self, endpoints)
        self._edge = edge(super().__call__)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or run the lifespan."""
        scope["app"] = self
        await self._edge(scope, receive, send)


async def _leave_to_the_edge(_request: Request, error: Exception) -> Response:
    raise error
