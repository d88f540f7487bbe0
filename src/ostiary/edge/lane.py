"""The hot lane: the busiest calls, found by method and path without asking a router.

A path is either whole or ends in a number (`/api/v1/users/17`). Whatever looks otherwise, other methods of the same
path and everything that is wrong are left to the router, so the lane never has to refuse anything itself.
"""

from collections.abc import Iterable

from starlette.types import Scope

from ostiary.metrics.requests import ROUTE
from ostiary.web.access import guarded
from ostiary.web.endpoint import Endpoint, Handler


class HotLane:
    """Finds the handlers of hot endpoints; the same ones that the router finds, behind the same access checks."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._whole: dict[tuple[str, str], Handler] = {}
        self._numbered: dict[tuple[str, str], tuple[Handler, str, str]] = {}
        for endpoint in endpoints:
            if not endpoint.is_hot:
                continue
            parent, _, last = endpoint.path.rpartition("/")
            if last.startswith("{"):
                self._numbered[endpoint.method, parent] = guarded(endpoint), last.strip("{}"), endpoint.path
            else:
                self._whole[endpoint.method, endpoint.path] = guarded(endpoint)

    def handler(self, scope: Scope, path: str) -> Handler | None:
        """Answer the handler of a request, and leave route and path parameter in the scope; None: ask the router."""
        method: str = scope["method"]
        handler = self._whole.get((method, path))
        if handler is not None:
            scope[ROUTE] = path
            return handler
        parent, _, last = path.rpartition("/")
        numbered = self._numbered.get((method, parent))
        if numbered is None or not (last.isascii() and last.isdecimal()):
            return None
        handler, name, scope[ROUTE] = numbered
        scope["path_params"] = {name: last}
        return handler
