"""GET /docs and GET /openapi.json: the API reference, for people and for programs (HT-6).

The page is shown by Swagger UI, whose files lie beside ours in `static/`. Every file has a path of its own, which
changes with the content of any of them, so that browsers may keep them for good. Nothing is read after start.
"""

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from ostiary.edge.headers import PAGE_HEADERS
from ostiary.web.endpoint import Access, Endpoint, Handler
from ostiary.web.openapi import openapi_document
from ostiary.web.render import json_bytes

_STATIC = Path(__file__).parent / "static"
_FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}
_TAG = "API reference"
_MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".txt": "text/plain"}
"""By the end of a file's name. Other files are not served: the page itself, and licences for whoever has the source."""


class Assets(NamedTuple):
    """The page, and the files that it needs by name."""

    page: bytes
    directory: str
    """Where the page finds them, below the place where it lies itself."""
    files: dict[str, bytes]


def reference_endpoints(documented: Iterable[Endpoint], *, public_url: str) -> tuple[Endpoint, ...]:
    """Answer the endpoints that show others: the page with its files, and the document."""
    assets = load_assets()
    documented = tuple(documented)

    @cache
    def document() -> bytes:
        """Written when it is first asked for, so that no start waits for it."""
        written = openapi_document(documented, public_url=public_url)
        # First the server that the page came from: the page may call no other, under whatever name it was opened.
        written["servers"].insert(0, {"url": "/"})
        return json_bytes(written)

    async def serve_document(request: Request) -> Response:  # noqa: ARG001 - everybody gets the same
        return Response(document(), media_type="application/json")

    files = [
        _endpoint(f"/{assets.directory}/{name}", _serving(content, _MEDIA_TYPES[Path(name).suffix], _FOREVER), name)
        for name, content in assets.files.items()
    ]
    return (
        _endpoint("/docs", _serving(assets.page, "text/html", PAGE_HEADERS), "API reference", is_limited=True),
        _endpoint("/openapi.json", serve_document, "OpenAPI", is_limited=True),
        *files,
    )


def _endpoint(path: str, handler: Handler, summary: str, *, is_limited: bool = False) -> Endpoint:
    return Endpoint("GET", path, handler, Access.PUBLIC, tag=_TAG, summary=summary, is_limited=is_limited)


def _serving(content: bytes, media_type: str, headers: dict[str, str] | None = None) -> Handler:
    async def serve(request: Request) -> Response:  # noqa: ARG001 - everybody gets the same
        return Response(content, headers=headers, media_type=media_type)

    return serve


@cache
def load_assets() -> Assets:
    """Read the page and its files."""
    paths = sorted(path for path in _STATIC.rglob("*") if path.suffix in _MEDIA_TYPES)
    files = {path.name: path.read_bytes() for path in paths}
    digest = hashlib.sha256(b"\0".join(files.values())).hexdigest()[:16]
    directory = f"docs/{digest}"
    page = (_STATIC / "page.html").read_text(encoding="utf-8").replace("{assets}", directory)
    return Assets(page.encode(), directory, files)
