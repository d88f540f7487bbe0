"""Importing one chunk of a file: users, passwords and how far the import has come, in one transaction.

An import that is killed goes on where the last kept chunk ended. Two of one file at once never do a chunk twice: the
second finds that the import is not where it thought, and stops.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from ostiary.audit.events import Event
from ostiary.audit.origin import Origin
from ostiary.audit.recording import record
from ostiary.credentials.bulk import add_passwords
from ostiary.db import read_committed
from ostiary.problems import Problem
from ostiary.roles.bulk import add_roles_of_users, hold_roles, roles_among
from ostiary.transfer.checking import Candidate, shown
from ostiary.transfer.models import Progress, keep, take_turn
from ostiary.transfer.source import Chunk, Rejected
from ostiary.users.accounts import EmailTaken, UsernameTaken
from ostiary.users.bulk import Taken, add_users, taken_names
from ostiary.users.profiles import add_profiles

KeepRejects = Callable[[list[Rejected], int], int]
"""Writes rejected lines to the reject file from an offset on, and answers the offset after them."""


class ImportElsewhere(Problem):
    """Another process moves this import."""

    status = 409
    detail = "Another process is importing this file"
    code = "import_elsewhere"


@read_committed(why="the row of the import is locked first, and the unique constraints decide who is added")
def import_chunk(
    connection: Connection,
    progress: Progress,
    chunk: Chunk,
    keep_rejects: KeepRejects,
    *,
    origin: Origin,
    now: datetime,
) -> tuple[Progress, list[Rejected]]:
    """Add whom a chunk brings, and note how far the import has come; answer that, and what was rejected.

    The reject file is written inside the transaction: whoever has the turn is the only one who writes it, what it holds
    beyond the offset that is kept was never kept, and what is kept is never missing from it. Raises ImportElsewhere.
    """
    if not take_turn(connection, progress, now=now):
        raise ImportElsewhere
    chunk = _with_roles_there(chunk, hold_roles(connection, chunk.roles))
    outcomes = add_accounts(connection, chunk.candidates, now=now)
    rejected = chunk.rejected + [
        Rejected(line, outcome.problem.detail)
        for line, outcome in zip(chunk.lines, outcomes, strict=True)
        if isinstance(outcome, Taken)
    ]
    rejected.sort(key=lambda each: each.line.number)
    after = replace(
        progress,
        lines=chunk.end_line,
        bytes=chunk.end_bytes,
        added=progress.added + sum(isinstance(outcome, int) for outcome in outcomes),
        rejected=progress.rejected + len(rejected),
        # The last chunk has it cut even if nothing is rejected any more: a name may have become free since the kill.
        rejects_bytes=(
            keep_rejects(rejected, progress.rejects_bytes) if rejected or chunk.is_last else progress.rejects_bytes
        ),
        finished_at=now if chunk.is_last else None,
    )
    keep(connection, after)
    details = {
        "file": progress.fingerprint,
        "added": after.added - progress.added,
        "rejected": after.rejected - progress.rejected,
    }
    if details["added"]:
        record(connection, Event.USERS_IMPORTED, origin, details=details, now=now)
    return after, rejected


def add_accounts(connection: Connection, candidates: list[Candidate], *, now: datetime) -> list[int | Taken]:
    """Add users with their passwords, where they have one; answer what `add_users` answers."""
    outcomes = add_users(connection, [candidate.user for candidate in candidates])
    add_passwords(
        connection,
        [
            (outcome, candidate.password_hash)
            for outcome, candidate in zip(outcomes, candidates, strict=True)
            if isinstance(outcome, int) and candidate.password_hash is not None
        ],
        now=now,
    )
    added = [
        (outcome, candidate)
        for outcome, candidate in zip(outcomes, candidates, strict=True)
        if isinstance(outcome, int)
    ]
    add_profiles(connection, [(user_id, candidate.beside) for user_id, candidate in added])
    held = [(user_id, role) for user_id, candidate in added for role in candidate.roles]
    add_roles_of_users(connection, held, now=now)
    return outcomes


def _with_roles_there(chunk: Chunk, there: set[str]) -> Chunk:
    """Answer a chunk without those lines whose roles are not all there."""
    missing = [next((role for role in candidate.roles if role not in there), None) for candidate in chunk.candidates]
    return chunk.without(
        [
            Rejected(line, f"there is no role {shown(role)}")
            for line, role in zip(chunk.lines, missing, strict=True)
            if role is not None
        ]
    )


class Rehearsal:
    """Finds what an import would reject, and writes nothing: names that earlier lines would have taken are remembered.

    Remembered is a number for each name, so that ten million fit into memory.
    """

    def __init__(self) -> None:
        self._addresses: set[int] = set()
        self._usernames: set[int] = set()

    def rehearse(self, connection: Connection, chunk: Chunk) -> list[Rejected]:
        """Answer whom a chunk would not bring, in order."""
        chunk = _with_roles_there(chunk, roles_among(connection, chunk.roles))
        addresses, usernames = taken_names(connection, [candidate.user for candidate in chunk.candidates])
        rejected = list(chunk.rejected)
        for line, candidate in zip(chunk.lines, chunk.candidates, strict=True):
            user = candidate.user
            address, username = hash(user.email_key), hash(user.username_key)
            if user.email_key in addresses or address in self._addresses:
                rejected.append(Rejected(line, EmailTaken.detail))
            elif user.username_key in usernames or username in self._usernames:
                rejected.append(Rejected(line, UsernameTaken.detail))
            else:
                self._addresses.add(address)
                self._usernames.add(username)
        rejected.sort(key=lambda each: each.line.number)
        return rejected
