"""What an e-mail address and a username are, and when two spellings are the same one (SU-1).

Two kinds of function: `parse_…` judges what somebody wants to be called and refuses with a telling detail;
`canonical_…` turns any text at all, garbage included, into the key that uniqueness and look-ups go by.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache

import idna

from ostiary.problems import InvalidInput

MAX_ADDRESS_LENGTH = 254
"""RFC 5321 §4.5.3.1.3 gives a path 256 octets, two of which are the angle brackets."""
MAX_LOCAL_PART_LENGTH = 64
"""RFC 5321 §4.5.3.1.1."""
MAX_LABEL_LENGTH = 63
"""RFC 1035 §2.3.4."""

_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
_DOT_ATOM = re.compile(rf"{_ATEXT}+(?:\.{_ATEXT}+)*")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_USERNAME = re.compile(r"[A-Za-z0-9._-]{3,64}")

_REMEMBERED_DOMAINS = 4096
"""Most addresses are at few domains; an import reads each of those once."""

SERVICE_DOMAIN = "service.invalid"
"""Where service accounts have their addresses, and nobody else. No mail can be sent there (RFC 6761 §6.4)."""

_SINGLE_LABELS = frozenset({"localhost"})
"""Other names of one label are no fully-qualified domains, which RFC 5321 §2.3.5 asks for, and mostly typing slips."""


@dataclass(frozen=True, slots=True)
class Email:
    """An address as mail is sent to it, and the key by which it is one with its other spellings."""

    address: str
    """The local part as typed, the domain as lower-case A-labels."""
    canonical: str


def parse_email(text: str) -> Email:
    """Read the address of a person: any mailbox but those of service accounts. Raises InvalidInput."""
    email = parse_mailbox(text)
    if is_service_address(email.address):
        raise InvalidInput(f"email must not be at {SERVICE_DOMAIN}, which is for service accounts")
    return email


def service_email(username: str) -> Email:
    """Answer the address of a service account. Raises InvalidInput for a username that no address can begin with."""
    try:
        return parse_mailbox(f"{username}@{SERVICE_DOMAIN}")
    except InvalidInput:
        raise InvalidInput(
            "username of a service account must not begin or end with a dot, nor have two in a row"
        ) from None


def is_service_address(address: str) -> bool:
    """Say whether a parsed address is a service account's."""
    return address.rpartition("@")[2] == SERVICE_DOMAIN


def parse_mailbox(text: str) -> Email:
    """Read one RFC 5321 Mailbox with a dot-atom as its local part and a domain name in ASCII or Unicode (SU-1).

    Stricter than the RFC: no quoted local part, no address literal, no name of a single label but localhost.
    An all-numeric top-level label is refused as RFC 3696 §2 says. A domain in Unicode is mapped as UTS 46 does for
    look-up and must then be valid in IDNA 2008; one in ASCII is taken as the DNS takes it, without regard to case.

    Raises InvalidInput.
    """
    if len(text) > MAX_ADDRESS_LENGTH:  # before anything whose work grows with the length
        raise InvalidInput(f"email must be at most {MAX_ADDRESS_LENGTH} characters long")
    local_part, at, domain_text = text.rpartition("@")
    if not at:
        raise InvalidInput("email must be an address such as user@example.com")
    if not _DOT_ATOM.fullmatch(local_part):
        raise InvalidInput(
            "email must have plain letters, digits and !#$%&'*+-/=?^_`{|}~ before the @, or single dots between them"
        )
    if len(local_part) > MAX_LOCAL_PART_LENGTH:
        raise InvalidInput(f"email must have at most {MAX_LOCAL_PART_LENGTH} characters before the @")
    domain = _parse_domain(domain_text)
    address = f"{local_part}@{domain}"
    if len(address) > MAX_ADDRESS_LENGTH:
        raise InvalidInput(f"email must be at most {MAX_ADDRESS_LENGTH} characters long, its domain written in ASCII")
    return Email(address=address, canonical=address.lower())


def canonical_email(text: str) -> str:
    """Give the key of an address: the same for all its spellings, for any text, and never an error (SU-1).

    Text that is no address gets a key that no address has, since login answers it like an unknown one.
    """
    try:
        return parse_mailbox(text).canonical
    except InvalidInput:
        return _key_of_garbage(text)


def parse_username(text: str) -> str:
    """Accept 3 to 64 characters of `[A-Za-z0-9._-]`, which can never be an address, as typed (SU-1).

    Raises InvalidInput.
    """
    if not _USERNAME.fullmatch(text):
        raise InvalidInput("username must be 3 to 64 characters long: A-Z, a-z, 0-9, dot, hyphen and underscore")
    return text


def canonical_username(text: str) -> str:
    """Give the key of a username, the same in upper and lower case; any text, never an error (SU-1)."""
    try:
        return parse_username(text).lower()
    except InvalidInput:
        return _key_of_garbage(text)


@lru_cache(maxsize=_REMEMBERED_DOMAINS)
def _parse_domain(text: str) -> str:
    """Give a domain name as lower-case A-labels. Raises InvalidInput."""
    domain = text.lower() if text.isascii() else _a_labels(text)
    labels = domain.split(".")
    if not all(len(label) <= MAX_LABEL_LENGTH and _LABEL.fullmatch(label) for label in labels):
        raise InvalidInput("email must have a domain name after the @")
    if labels[-1].isdigit():
        raise InvalidInput("email must have a domain name, not a number, after the @")
    if len(labels) == 1 and domain not in _SINGLE_LABELS:
        raise InvalidInput("email must have a full domain name after the @, such as example.com")
    return domain


def _a_labels(text: str) -> str:
    """Encode a domain name given in Unicode (RFC 5891 §5, after the mapping of UTS 46). Raises InvalidInput."""
    try:
        return idna.encode(text, uts46=True, std3_rules=True).decode("ascii")
    except ValueError as error:  # IDNAError is one, and so is what unicodedata raises inside
        raise InvalidInput("email must have a valid domain name after the @", reason=str(error)) from error


def _key_of_garbage(text: str) -> str:
    """Give a short key of plain ASCII to text of any length and content. No valid name holds a colon."""
    return "none:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
