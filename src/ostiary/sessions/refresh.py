"""Rotating refresh tokens: many at once, each atomically (TK-4, TK-5)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from ostiary.audit.events import Event
from ostiary.audit.recording import record
from ostiary.crypto.opaque import token_hash
from ostiary.db import read_committed
from ostiary.db.types import to_milliseconds
from ostiary.problems import InvalidCredentials
from ostiary.sessions.gate import Demands, Standing, admit
from ostiary.sessions.hot import HELD_FOR_CHANGE, ROTATION
from ostiary.sessions.models import Held, Session, held_from_stored
from ostiary.sessions.rotation import Lifetimes, Presented, Verdict, judge
from ostiary.sessions.tokens import Tokens


class RefreshTokenReplayed(InvalidCredentials):
    """A spent refresh token came back. The family is ended; `rotate` keeps that although this caller is refused."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a refresh gives: the session as it is now, with what its user has by now (TK-9), and its refresh token."""

    held: Held
    refresh_token: str


@read_committed(why="every session is locked, in the order of ids, before it is judged and changed")
def rotate(
    connection: Connection,
    batch: list[Presented],
    *,
    tokens: Tokens,
    lifetimes: Lifetimes,
    demands: Demands,
    now: datetime,
) -> list[Rotation | Exception]:
    """Answer a batch of presented refresh tokens in one read and one write.

    Several of one session are judged one after the other, as if each had come alone. The answers that are
    exceptions are refusals of single items; what they leave behind (an ended family) is kept.
    """
    held = lock_sessions(connection, {item.session_id for item in batch})
    before = dict(held)
    answers: list[Rotation | Exception] = []
    for item in batch:
        try:
            found = admitted(held.get(item.session_id), item.user_id, demands, now)
            after, answer = _answer(found, item, tokens=tokens, lifetimes=lifetimes, now=now)
        except InvalidCredentials as refusal:
            answers.append(refusal)
        else:
            held[item.session_id] = after
            answers.append(answer)
            if isinstance(answer, RefreshTokenReplayed):
                _record_replay(connection, item, now)
    _store(connection, (held[key].session for key in held if held[key] is not before[key]))
    return answers


def _record_replay(connection: Connection, presented: Presented, now: datetime) -> None:
    """Record what ended the family. Nobody is known to act: whoever has the token may be the thief or the robbed."""
    details = {"session": presented.session_id}
    event = Event.REFRESH_TOKEN_REPLAYED
    record(connection, event, presented.origin, user_id=presented.user_id, details=details, now=now)


def admitted(held: Held | None, user_id: int, demands: Demands, now: datetime) -> Held:
    """Answer a session that passes the gate for whom a credential names. Raises InvalidCredentials."""
    if held is None:
        raise InvalidCredentials(reason="no such session or user")
    admit(Standing.of(held), user_id=user_id, demands=demands, now=now)
    return held


def _answer(
    held: Held, presented: Presented, *, tokens: Tokens, lifetimes: Lifetimes, now: datetime
) -> tuple[Held, Rotation | Exception]:
    """Answer one token; also the session as it is afterwards."""
    session = held.session
    verdict = judge(session, presented, now=now, lifetimes=lifetimes)
    if verdict is Verdict.ROTATE:
        successor, refresh_token = succeed(session, tokens, lifetimes, now)
        after = held._replace(session=successor)
        return after, Rotation(after, refresh_token)
    if verdict is Verdict.REPEAT:
        repeated = tokens.remint_refresh(session)
        if repeated is not None:
            return held, Rotation(held, repeated)
        return held, InvalidCredentials(reason="refresh token: its successor cannot be made again")
    if verdict is Verdict.REUSED:
        ended = session._replace(revoked_at=now, revoked_because="refresh_token_replayed")
        replayed = RefreshTokenReplayed(reason=f"spent refresh token came back: session {session.id}")
        return held._replace(session=ended), replayed
    return held, InvalidCredentials(reason="refresh token: not live")


def succeed(session: Session, tokens: Tokens, lifetimes: Lifetimes, now: datetime) -> tuple[Session, str]:
    """Spend the live token: the session with its next one, and that token."""
    absolute = min(session.expires_at, session.created_at + lifetimes.refresh_absolute)
    expires_at = min(now + lifetimes.refresh_idle, absolute)
    refresh_token = tokens.mint_next_refresh(session, now=now, expires_at=expires_at)
    successor = session._replace(
        generation=session.generation + 1,
        refresh_hash=token_hash(refresh_token),
        rotated_at=now,
        refresh_expires_at=expires_at,
        last_used_at=now,
    )
    return successor, refresh_token


def lock_sessions(connection: Connection, ids: set[str]) -> dict[str, Held]:
    """Lock sessions in the order of their ids and answer those that exist, with what the gate asks of their users."""
    return {row[0]: held_from_stored(row) for row in HELD_FOR_CHANGE.rows(connection, sorted(ids))}


def _store(connection: Connection, changed: Iterable[Session]) -> None:
    """Write the sessions that changed."""
    rows = [
        (
            session.id,
            session.generation,
            session.refresh_hash,
            to_milliseconds(session.rotated_at),
            to_milliseconds(session.refresh_expires_at),
            to_milliseconds(session.last_used_at),
            None if session.revoked_at is None else to_milliseconds(session.revoked_at),
            session.revoked_because,
        )
        for session in changed
    ]
    if rows:
        ROTATION.run(connection, rows)
