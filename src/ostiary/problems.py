"""Refusals. A flow that will not do what it was asked raises a Problem; anything else that escapes is a bug.

    Problem
    ├── InvalidInput          400  a body, parameter or value that cannot be accepted
    │   └── MalformedRequest  400  no HTTP, or HTTP that two readers may read in two ways
    ├── InvalidCredentials    401  the contract's one answer to every failed authentication
    ├── Forbidden             403  signed in, but not allowed; the object's existence is no secret
    │   └── SessionRequired   403  asked with an API key, for what only a person in a session may do
    ├── NotFound              404  no such thing, or none that the caller may know of
    ├── MethodNotAllowed      405  the path exists, the method does not
    ├── RequestTimeout        408  the headers or the body did not arrive in time
    ├── BodyTooLarge          413  more bytes than a JSON body may have
    ├── URITooLong            414  a longer URL than any of ours
    ├── UnsupportedMediaType  415  not application/json
    ├── RateLimited           429  over one of the request limits
    ├── HeadersTooLarge       431  more bytes of headers than any request needs
    └── Unavailable           503  full, or the database is away; come back after Retry-After

Slices add their own below these. The HTTP edge renders all of them alike (`web/render.py`).
"""

from collections.abc import Mapping
from typing import ClassVar


class Problem(Exception):  # noqa: N818 - a refusal we meant to give is not an error of the program
    """A refusal, as the caller may see it, with a reason that only the log sees."""

    status: ClassVar[int] = 400
    detail: str = "Bad request"
    code: ClassVar[str | None] = None
    """A stable snake_case word for programs; None where the contract fixes `detail` alone."""
    keep_writes: ClassVar[bool] = False
    """True: what the flow wrote before it refused is committed all the same (a counted failure, a revoked family)."""
    is_recorded: ClassVar[bool] = False
    """True: whoever refuses has recorded it in the audit log, with what only he knows; nobody counts it again."""

    def __init__(
        self, detail: str | None = None, *, reason: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        """Refuse with the class's `detail` or a more telling one; `reason` goes to the log, never to the caller."""
        self.detail = detail or type(self).detail
        self.reason = reason
        self.headers = dict(headers or {})
        super().__init__(reason or self.detail)


class InvalidInput(Problem):
    """The request cannot be understood or holds a value that is not acceptable."""

    status = 400
    detail = "Invalid input"


class MalformedRequest(InvalidInput):
    """The bytes are no HTTP request, or not certainly one and the same to everybody on its way (RFC 9112 §6.3)."""

    detail = "Request is not valid HTTP"
    code = "malformed_request"


class InvalidCredentials(Problem):
    """Authentication failed. One answer for every cause, so that none can be told from another (LG-1)."""

    status = 401
    detail = "Invalid authentication credentials"

    def __init__(self, *, reason: str = "") -> None:
        """Refuse; RFC 9110 §11.6.1 wants the challenge with every 401."""
        super().__init__(reason=reason, headers={"WWW-Authenticate": "Bearer"})


class Forbidden(Problem):
    """The caller is known and may not do this."""

    status = 403
    detail = "Not allowed"
    code = "forbidden"


class SessionRequired(Forbidden):
    """An API key cannot do this: it needs a session."""

    detail = "An API key cannot do this: it needs the access token of a session"
    code = "session_required"


class NotFound(Problem):
    """There is no such thing, or none that the caller may know of."""

    status = 404
    detail = "Resource not found"


class MethodNotAllowed(Problem):
    """The path does not take this method (RFC 9110 §15.5.6)."""

    status = 405
    detail = "Method not allowed"


class RequestTimeout(Problem):
    """The headers or the body did not arrive in time (IN-1)."""

    status = 408
    detail = "Request body did not arrive in time"


class BodyTooLarge(Problem):
    """The body is larger than any request needs (IN-1)."""

    status = 413
    detail = "Request body too large"


class URITooLong(Problem):
    """The URL is longer than any of ours (IN-1)."""

    status = 414
    detail = "URL too long"
    code = "uri_too_long"


class UnsupportedMediaType(Problem):
    """The body is not declared as JSON (HT-4)."""

    status = 415
    detail = "Content-Type must be application/json"


class RateLimited(Problem):
    """Over one of the request limits (RFC 6585 §4)."""

    status = 429
    detail = "Rate limit exceeded"


class HeadersTooLarge(Problem):
    """The headers are larger than any request needs (IN-1)."""

    status = 431
    detail = "Request headers too large"
    code = "headers_too_large"


class Unavailable(Problem):
    """The service cannot answer now; nothing is wrong with the request."""

    status = 503
    detail = "Service temporarily unavailable"

    def __init__(self, detail: str | None = None, *, reason: str = "", retry_after_seconds: int = 1) -> None:
        """Refuse for now; the caller should wait that many whole seconds (RFC 9110 §10.2.3)."""
        super().__init__(detail, reason=reason, headers={"Retry-After": str(retry_after_seconds)})
