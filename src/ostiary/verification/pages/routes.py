"""Showing the pages, and doing what their forms ask for."""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from ostiary.audit.origin import origin_of
from ostiary.credentials.one_time import TokenInvalid
from ostiary.edge.headers import PAGE_HEADERS
from ostiary.edge.source import source_in
from ostiary.mail.languages import language_in
from ostiary.problems import InvalidInput, Problem
from ostiary.users.accounts import EmailTaken
from ostiary.verification.pages.declared import PAGES, Page
from ostiary.verification.pages.form import read_form
from ostiary.web.endpoint import Access, Endpoint, Handler, app_of

_STYLE = Path(__file__).parent / "static" / "page.css"
_FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}
_TAG = "Pages"
_LONGEST_TOKEN = 128


class LinkIncomplete(InvalidInput):
    """The page was opened without a token, as by a link that was cut."""

    detail = "This link is not complete"
    code = "link_incomplete"


def page_endpoints() -> tuple[Endpoint, ...]:
    """Answer the endpoints of all pages and of their style sheet. They are no part of the API."""
    style, path = _stylesheet()
    endpoints = [Endpoint("GET", path, _serving(style), Access.PUBLIC, tag=_TAG, summary="Style", is_limited=False)]
    for page in PAGES:
        endpoints.append(Endpoint("GET", page.path, _showing(page), Access.PUBLIC, tag=_TAG, summary=page.summary))
        endpoints.append(Endpoint("POST", page.path, _acting(page), Access.PUBLIC, tag=_TAG, summary=page.summary))
    return tuple(endpoints)


def _showing(page: Page) -> Handler:
    """Show a page: whatever the token is worth, for nothing is looked up before the button is pressed."""

    async def show(request: Request) -> Response:
        tokens = request.query_params.getlist("token")
        if len(tokens) != 1 or not 0 < len(tokens[0]) <= _LONGEST_TOKEN:
            return _refused(request, page, LinkIncomplete(), {})
        return _rendered(request, page, "form", form={"token": tokens[0]})

    return show


def _acting(page: Page) -> Handler:
    """Do what a page is for, and say how it went."""

    async def act(request: Request) -> Response:
        form: Mapping[str, str] = {}
        try:
            form = await read_form(request)
            if not form.get("token"):
                raise LinkIncomplete
            await page.act(app_of(request), form, origin_of(request), source_in(request.scope))
        except Problem as problem:
            return _refused(request, page, problem, form)
        return _rendered(request, page, "done")

    return act


def _refused(request: Request, page: Page, problem: Problem, form: Mapping[str, str]) -> Response:
    """Say why not; where something can be put right, with the form once more."""
    is_over = not (page.has_fields and form.get("token")) or isinstance(problem, TokenInvalid | EmailTaken)
    response = _rendered(request, page, "refused" if is_over else "form", form=form, problem=problem)
    response.headers.update(problem.headers)
    return response


def _rendered(
    request: Request, page: Page, state: str, *, form: Mapping[str, str] | None = None, problem: Problem | None = None
) -> Response:
    from ostiary.verification.pages.rendering import render  # noqa: PLC0415 - brings Jinja, and a start can do without

    form = form or {}
    html = render(
        page.template,
        language_in(request),
        state=state,
        action=page.path,
        stylesheet=_stylesheet()[1],
        token=form.get("token", ""),
        username=form.get("username", ""),
        detail="" if problem is None else problem.detail,
        code="" if problem is None else problem.code or "",
    )
    return Response(html, 200 if problem is None else problem.status, headers=PAGE_HEADERS, media_type="text/html")


@cache
def _stylesheet() -> tuple[bytes, str]:
    """Answer the style sheet and its path, which changes with it, so that browsers may keep it for good."""
    content = _STYLE.read_bytes()
    return content, f"/pages/{hashlib.sha256(content).hexdigest()[:16]}.css"


def _serving(content: bytes) -> Handler:
    async def serve(request: Request) -> Response:  # noqa: ARG001 - everybody gets the same
        return Response(content, headers=_FOREVER, media_type="text/css")

    return serve
