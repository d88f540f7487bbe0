"""Where somebody tries to get in from, and which networks an account has signed in from (LG-4).

Such a network is known for 90 days. What is tried from there has a budget of its own, which strangers cannot use up.
"""

from datetime import datetime, timedelta
from functools import lru_cache
from ipaddress import IPv4Address, ip_address, ip_network
from typing import NamedTuple

from sqlalchemy import Column, Connection, ForeignKey, String, Table, delete, select, tuple_

from ostiary.audit.origin import Origin
from ostiary.crypto.sealed import Sealer
from ostiary.db.types import Moment, UserId, metadata, to_milliseconds
from ostiary.edge.source import Source
from ostiary.login.hot import PLACE_SEEN, ROOM_FOR_PLACE
from ostiary.mail.messages import NewSignIn
from ostiary.mail.outbox import tell
from ostiary.users.models import user_by_id

KNOWN_FOR = timedelta(days=90)
SEEN_AGAIN_AFTER = timedelta(days=1)
"""A place is written once a day at most, so it may be forgotten up to a day early."""
MOST_PLACES = 32
"""For each account; the one that was not seen for longest goes first. Telephones change networks often."""

IPV4_PREFIX = 24
IPV6_PREFIX = 48

known_places = Table(
    "known_places",
    metadata,
    Column("user_id", UserId, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("network", String(64), primary_key=True),
    Column("seen_at", Moment, nullable=False, index=True),
)


class Approach(NamedTuple):
    """Whom somebody tries to be, and from where."""

    subject: str
    """The account, or a keyed hash of the address nobody has: all spellings and names of one account give the same."""
    user_id: int | None
    source: str
    """What the first stage counts: an IPv4 address or an IPv6 /64; or a session, of which a caller holds the token."""
    network: str
    """What may be known: an IPv4 /24 or an IPv6 /48; or the same session."""
    known_since: datetime | None
    """When a sign-in from the network was last written down."""

    def is_known(self, *, now: datetime) -> bool:
        """Say whether the account signed in from there lately."""
        return self.known_since is not None and now - self.known_since < KNOWN_FOR


def approach_to_user(user_id: int, source: Source, *, known_since: datetime | None) -> Approach:
    """Answer how somebody approaches an account."""
    return Approach(subject_of(user_id), user_id, source.key, network_of(source.key), known_since)


def approach_to_nobody(subject: str, source: Source) -> Approach:
    """Answer how somebody approaches an address that nobody has; no place is known to it."""
    return Approach(subject, None, source.key, network_of(source.key), None)


def approach_in_session(
    user_id: int, session_id: str, source: Source, *, known_since: datetime | None, now: datetime
) -> Approach:
    """Answer how somebody who is signed in approaches his own account, to prove his password once more.

    In a known network this counts with the logins from there. Elsewhere the session is what is known: strangers cannot
    keep its owner from proving his password, and a thief of its token who changes networks gains nothing by it.
    """
    approach = approach_to_user(user_id, source, known_since=known_since)
    if approach.is_known(now=now):
        return approach
    place = f"session:{session_id}"
    return approach._replace(source=place, network=place, known_since=now)


def subject_of(user_id: int) -> str:
    """Name an account."""
    return f"user:{user_id}"


@lru_cache(maxsize=8192)
def network_of(source_key: str) -> str:
    """Answer the network that is known where one of its addresses is: IPv4 /24, IPv6 /48, or what has no address."""
    try:
        address = ip_address(source_key.partition("/")[0])
    except ValueError:
        return source_key
    return str(ip_network((address, IPV4_PREFIX if isinstance(address, IPv4Address) else IPV6_PREFIX), strict=False))


def remember_place(connection: Connection, approach: Approach, *, now: datetime) -> None:
    """Write down that an account signed in from a network, where that was not done within a day."""
    if approach.known_since is not None and now - approach.known_since < SEEN_AGAIN_AFTER:
        return
    PLACE_SEEN.run(connection, approach.user_id, approach.network, to_milliseconds(now))
    if approach.known_since is None:
        ROOM_FOR_PLACE.run(connection, approach.user_id, approach.network, MOST_PLACES - 1)


def is_new_place(connection: Connection, approach: Approach) -> bool:
    """Say whether an account that has signed in elsewhere signs in from this network for the first time."""
    if approach.known_since is not None:
        return False
    p = known_places.c
    return connection.execute(select(p.network).where(p.user_id == approach.user_id).limit(1)).first() is not None


def tell_of_new_place(connection: Connection, user_id: int, *, sealer: Sealer, origin: Origin, now: datetime) -> None:
    """Tell a user that somebody signed in to his account from a network that it was not used from lately."""
    user = user_by_id(connection, user_id)
    if user is None:
        return
    notice = NewSignIn(username=user.username, at=now, source=origin.address, device=origin.user_agent)
    tell(connection, user, notice, sealer=sealer, now=now)


def places_of(connection: Connection, user_id: int) -> dict[str, datetime]:
    """Answer the networks an account has signed in from, and when, the latest first."""
    p = known_places.c
    query = select(p.network, p.seen_at).where(p.user_id == user_id).order_by(p.seen_at.desc(), p.network)
    return {row.network: row.seen_at for row in connection.execute(query)}


def purge_places(connection: Connection, *, now: datetime, limit: int) -> int:
    """Remove some places that are not known any more; answer how many."""
    p = known_places.c
    some = select(p.user_id, p.network).where(p.seen_at <= now - KNOWN_FOR).limit(limit)
    return connection.execute(delete(known_places).where(tuple_(p.user_id, p.network).in_(some))).rowcount
