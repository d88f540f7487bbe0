"""Rotating refresh tokens: many at once, each atomically (TK-4, TK-5)."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, bindparam, update

from ostiary.crypto.opaque import token_hash
from ostiary.db import read_committed
from ostiary.problems import InvalidCredentials
from ostiary.sessions.gate import Standing, admit
from ostiary.sessions.models import Held, Session, held_from_row, select_held, sessions
from ostiary.sessions.rotation import Lifetimes, Presented, Verdict, judge
from ostiary.sessions.tokens import Tokens


class RefreshTokenReplayed(InvalidCredentials):
    """A spent refresh token came back. The family is ended; `rotate` keeps that although this caller is refused."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a refresh gives: the session as it is now and its live refresh token."""

    held: Held
    refresh_token: str


@read_committed(why="every session is locked, in the order of ids, before it is judged and changed")
def rotate(
    connection: Connection, batch: list[Presented], *, tokens: Tokens, lifetimes: Lifetimes, now: datetime
) -> list[Rotation | Exception]:
    """Answer a batch of presented refresh tokens in one read and one write.

    Several of one session are judged one after the other, as if each had come alone. The answers that are
    exceptions are refusals of single items; what they leave behind (an ended family) is kept.
    """
    held = _lock(connection, {item.session_id for item in batch})
    before = dict(held)
    answers: list[Rotation | Exception] = []
    for item in batch:
        try:
            found = _admitted(held.get(item.session_id), item, now)
            after, answer = _answer(found, item, tokens=tokens, lifetimes=lifetimes, now=now)
        except InvalidCredentials as refusal:
            answers.append(refusal)
        else:
            held[item.session_id] = after
            answers.append(answer)
    _store(connection, (held[key].session for key in held if held[key] is not before[key]))
    return answers


def _admitted(held: Held | None, presented: Presented, now: datetime) -> Held:
    """Answer a session that passes the gate. Raises InvalidCredentials."""
    if held is None:
        raise InvalidCredentials(reason="no such session or user")
    admit(Standing.of(held), user_id=presented.user_id, now=now)
    return held


def _answer(
    held: Held, presented: Presented, *, tokens: Tokens, lifetimes: Lifetimes, now: datetime
) -> tuple[Held, Rotation | Exception]:
    """Answer one token; also the session as it is afterwards."""
    session, user = held
    verdict = judge(session, presented, now=now, lifetimes=lifetimes)
    if verdict is Verdict.ROTATE:
        session = _successor(session, lifetimes, now)
        refresh_token = tokens.mint_refresh(session)
        held = Held(replace(session, refresh_hash=token_hash(refresh_token)), user)
        return held, Rotation(held, refresh_token)
    if verdict is Verdict.REPEAT:
        repeated = tokens.remint_refresh(session)
        if repeated is not None:
            return held, Rotation(held, repeated)
        return held, InvalidCredentials(reason="refresh token: its successor cannot be made again")
    if verdict is Verdict.REUSED:
        ended = replace(session, revoked_at=now, revoked_because="refresh_token_replayed")
        return Held(ended, user), RefreshTokenReplayed(reason=f"spent refresh token came back: session {session.id}")
    return held, InvalidCredentials(reason="refresh token: not live")


def _successor(session: Session, lifetimes: Lifetimes, now: datetime) -> Session:
    absolute = min(session.expires_at, session.created_at + lifetimes.refresh_absolute)
    return replace(
        session,
        generation=session.generation + 1,
        rotated_at=now,
        refresh_expires_at=min(now + lifetimes.refresh_idle, absolute),
        last_used_at=now,
    )


def _lock(connection: Connection, ids: set[str]) -> dict[str, Held]:
    query = select_held(ids).order_by(sessions.c.id).with_for_update(of=sessions)
    return {row[0]: held_from_row(row) for row in connection.execute(query)}


_CHANGING = ("generation", "refresh_hash", "rotated_at", "refresh_expires_at", "last_used_at")


def _store(connection: Connection, changed: Iterable[Session]) -> None:
    """Write the sessions that changed, in one statement run for each."""
    rows = [
        {"session_id": session.id, "revoked_at": session.revoked_at, "revoked_because": session.revoked_because}
        | {name: getattr(session, name) for name in _CHANGING}
        for session in changed
    ]
    if rows:
        connection.execute(update(sessions).where(sessions.c.id == bindparam("session_id")), rows)
