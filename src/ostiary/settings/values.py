"""The kinds of values that settings have, each read from the text people write.

A parser raises ValueError: without a text when there is nothing to add to what the setting accepts, otherwise with
one that continues "OSTIARY_SOMETHING …". No text repeats a secret.
"""

import re
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr

from ostiary.crypto.secret import Secret, SecretError
from ostiary.durations import Rate, format_duration, parse_duration
from ostiary.settings import postgres_url

Network = IPv4Network | IPv6Network

SQLITE = "sqlite:///"
MASK = "********"

_FLAGS = {"on": True, "true": True, "yes": True, "1": True, "off": False, "false": False, "no": False, "0": False}
_NAME = r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?"
_ORIGIN = re.compile(
    rf"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>{_NAME}|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{{1,5}}))?/?"
)
_DEFAULT_PORTS = {"http": 80, "https": 443}
MAX_PORT = 65535
_SHORTEST_WINDOW, _LONGEST_WINDOW = timedelta(seconds=1), timedelta(hours=24)


def parse_flag(value: object) -> bool:
    """Read on, true, yes or 1, and off, false, no or 0."""
    flag = _FLAGS.get(str(value).strip().lower())
    if flag is None:
        raise ValueError
    return flag


def parse_whole_number(value: object) -> int:
    """Read decimal digits; neither true nor 1.0 is a number here."""
    text = str(value).strip()
    if re.fullmatch(r"-?[0-9]{1,18}", text) is None:
        raise ValueError
    return int(text)


def parse_word(value: object) -> str:
    """Read one word of a fixed set, in any case."""
    return str(value).strip().lower()


def split_list(value: object) -> object:
    """Take comma-separated text apart; a list (from a TOML file) stays what it is."""
    if isinstance(value, str):
        return tuple(item for item in (part.strip() for part in value.split(",")) if item)
    return value


def parse_host(value: object) -> str:
    """Read an address or a host name, without scheme or port; an IPv6 address may stand in brackets."""
    text = str(value).strip().lower()
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if not _is_address(bare) and re.fullmatch(_NAME, text, re.ASCII) is None:
        raise ValueError
    return bare


def parse_origin(value: object) -> str:
    """Read scheme://host[:port] and write it as browsers do: lower case, no default port, no slash (RFC 6454 §6.2)."""
    text = str(value).strip()
    shown = mask_url(text)
    match = _ORIGIN.fullmatch(text.lower())
    if match is None:
        raise ValueError(
            f"holds {shown!r}: an origin is written scheme://host or scheme://host:port,"
            " in ASCII, without user, path, query or wildcard"
        )
    scheme, host, port = match["scheme"], match["host"], int(match["port"] or 0)
    if host.startswith("["):
        try:
            host = f"[{IPv6Address(host[1:-1]).compressed}]"
        except ValueError:
            raise ValueError(f"holds {shown!r}: {host} is no IPv6 address") from None
    if port > MAX_PORT:
        raise ValueError(f"holds {shown!r}: a port is at most {MAX_PORT}")
    is_default = match["port"] is None or port == _DEFAULT_PORTS.get(scheme)
    return f"{scheme}://{host}" if is_default else f"{scheme}://{host}:{port}"


def parse_web_origin(value: object) -> str:
    """Read an origin that is http or https."""
    origin = parse_origin(value)
    if urlsplit(origin).scheme not in _DEFAULT_PORTS:
        raise ValueError
    return origin


def parse_network(value: object) -> Network:
    """Read one address or network. A /0 is refused: with every hop trusted, clients choose their own address (RL-2)."""
    text = str(value).strip()
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"holds {text!r}, which is neither an IP address nor a network such as 10.0.0.0/8") from None
    if _has_host_bits(text):
        raise ValueError(f"holds {text!r}, whose host part is not zero; if the network is meant, write {network}")
    if network.prefixlen == 0:
        raise ValueError(f"holds {text!r}: with every address trusted, any client could choose the address it has")
    return network


def parse_rate(value: object) -> Rate:
    """Read a rate of at least 1 in a window of 1 second to 24 hours."""
    rate = value if isinstance(value, Rate) else Rate.parse(str(value).strip())
    if rate.limit < 1 or not _SHORTEST_WINDOW <= rate.window <= _LONGEST_WINDOW:
        raise ValueError
    return rate


def parse_length(value: object) -> timedelta:
    """Read a length of time."""
    return value if isinstance(value, timedelta) else parse_duration(str(value).strip())


def refuse_empty_path(value: object) -> object:
    """Refuse what would silently mean the working directory, and what no file system can hold."""
    if str(value).strip() == "" or "\0" in str(value):
        raise ValueError
    return value


def absolute_path(path: Path) -> Path:
    """Make a path absolute: `~` is the home directory, relative means to the working directory."""
    try:
        return path.expanduser().absolute()
    except RuntimeError as error:  # no such user, or no home
        raise ValueError(f"is {str(path)!r}, and {str(error).lower()}") from None


def parse_database_url(value: object) -> str:
    """Read a PostgreSQL URL, of which only the scheme is looked at here, or `sqlite:///path`, made absolute."""
    text = str(value).strip()
    if text.startswith(("postgresql://", "postgres://")):
        postgres_url.parse(text)
        return text
    path = text.removeprefix(SQLITE)
    if path == text or re.fullmatch(r"[^?#\0]+", path) is None or path == ":memory:":
        raise ValueError
    return f"{SQLITE}{absolute_path(Path(path))}"


def check_secret(secret: SecretStr) -> SecretStr:
    """Refuse a secret that is short, published or plainly not random (SK-2); the message does not repeat it."""
    try:
        Secret(secret.get_secret_value().encode())
    except SecretError as error:
        reason = str(error).removeprefix("secret: ")
        raise ValueError(f"cannot be used: {reason}") from None
    return secret


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach a host: localhost, *.localhost (RFC 6761 §6.3), 127.0.0.0/8 and ::1."""
    name = host.lower().rstrip(".")
    if not _is_address(name):
        return name == "localhost" or name.endswith(".localhost")
    address = ip_address(name)
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def as_text(value: object) -> str:
    """Write a value the way it would be given; secrets and passwords in URLs are masked."""
    match value:
        case None:
            return "none"
        case bool():
            return "on" if value else "off"
        case timedelta():
            return format_duration(value)
        case SecretStr():
            return MASK
        case tuple():
            return ", ".join(map(as_text, value)) or "none"
        case _:
            return mask_url(str(value))


def mask_url(text: str) -> str:
    """Hide the password of a URL, before the last @ or in a parameter. Hides too much rather than too little."""
    scheme, separator, rest = text.partition("://")
    user_info, at, tail = rest.rpartition("@")
    user, colon, _ = user_info.partition(":")
    shown = f"{user}{colon}{MASK if colon else ''}{at}{tail}"
    return scheme + separator + re.sub(r"(?i)(password=)[^&]*", rf"\1{MASK}", shown)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _has_host_bits(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return True
    return False


Flag = Annotated[bool, BeforeValidator(parse_flag)]
WholeNumber = Annotated[int, BeforeValidator(parse_whole_number)]
Length = Annotated[timedelta, BeforeValidator(parse_length)]
RequestRate = Annotated[Rate, BeforeValidator(parse_rate)]
Host = Annotated[str, BeforeValidator(parse_host)]
WebOrigin = Annotated[str, BeforeValidator(parse_web_origin)]
Origins = Annotated[tuple[Annotated[str, BeforeValidator(parse_origin)], ...], BeforeValidator(split_list)]
Networks = Annotated[tuple[Annotated[Network, BeforeValidator(parse_network)], ...], BeforeValidator(split_list)]
SecretText = Annotated[SecretStr, AfterValidator(check_secret)]
SecretTexts = Annotated[tuple[SecretText, ...], BeforeValidator(split_list)]
FilePath = Annotated[Path, BeforeValidator(refuse_empty_path), AfterValidator(absolute_path)]
DatabaseURL = Annotated[str, BeforeValidator(parse_database_url)]
