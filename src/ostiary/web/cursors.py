"""Cursors: where a walk through a long list goes on, handed out in a `Link` header (RFC 8288).

A cursor is authenticated, so that only what we handed out comes back, and for the list it was made for; what it holds
is checked all the same (IN-3).
"""

import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request

from ostiary.crypto import base64url
from ostiary.problems import InvalidInput

_MAC_BYTES = 16


class CursorInvalid(InvalidInput):
    """The cursor is not one of ours, or of another list."""

    detail = "cursor: not one of ours"
    code = "cursor_invalid"


class Cursors:
    """Makes and reads cursors. The first key signs; the others, of earlier secrets, are still accepted."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = tuple(keys)

    def issue(self, walk: str, *position: str | int) -> str:
        """Write a position down. `walk` names the list with all that fixes its order, as `users by -email`."""
        payload = json.dumps(position, separators=(",", ":")).encode()
        return base64url.encode(_mac(self._keys[0], walk, payload) + payload).decode()

    def read(self, walk: str, presented: str, *kinds: type) -> list[Any]:
        """Answer the position that a cursor of this walk holds, its members being of these types.

        Raises CursorInvalid.
        """
        try:
            raw = base64url.decode(presented.encode("ascii"))
        except ValueError:
            raise CursorInvalid from None
        mac, payload = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not any(hmac.compare_digest(mac, _mac(key, walk, payload)) for key in self._keys):
            raise CursorInvalid
        position = json.loads(payload)
        if not isinstance(position, list) or tuple(map(type, position)) != kinds:
            raise CursorInvalid(reason="a cursor of another form")
        return position


def next_link(request: Request, public_url: str, cursor: str, *, keep: Sequence[str]) -> str:
    """Answer the `Link` header to the next page: the same call with a cursor, and these parameters where given."""
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    given = [(name, value) for name, value in request.query_params.multi_items() if name in keep]
    return f'<{public_url}{path}?{urlencode([*given, ("cursor", cursor)])}>; rel="next"'


def _mac(key: bytes, walk: str, payload: bytes) -> bytes:
    return hmac.new(key, walk.encode() + b"\0" + payload, hashlib.sha256).digest()[:_MAC_BYTES]
