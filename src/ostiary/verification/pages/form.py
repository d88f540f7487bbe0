"""Reading what a page's form posts: as strict as a JSON body, in the one other form that browsers write (HT-4).

Only pages read forms, never the API, and only urlencoded ones: multipart is taken nowhere.
"""

from urllib.parse import parse_qsl

from starlette.requests import Request

from ostiary.problems import InvalidInput
from ostiary.web.body import receive_body

MEDIA_TYPE = "application/x-www-form-urlencoded"
MAX_FIELDS = 20


async def read_form(request: Request) -> dict[str, str]:
    """Read the fields of a form by name.

    Raises BodyTooLarge, UnsupportedMediaType and RequestTimeout, and InvalidInput for what no form of ours sends:
    a name given twice, NUL, bytes that are not UTF-8.
    """
    raw = await receive_body(request, _is_form)
    try:
        fields = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(raw),
            encoding="utf-8",
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:  # UnicodeError is one
        raise InvalidInput("The form cannot be read") from None
    form = dict(fields)
    if len(form) != len(fields) or any("\0" in name + value for name, value in fields):
        raise InvalidInput("The form cannot be read")
    return form


def _is_form(content_type: bytes) -> bool:
    """Tell whether a media type is that of a form; its only parameter in use is a charset, which browsers leave out."""
    return content_type.split(b";")[0].strip().lower() == MEDIA_TYPE.encode()
