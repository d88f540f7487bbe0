"""`ostiary user sessions` and `ostiary user end-sessions`."""

from collections.abc import Sequence

import typer

from ostiary.administration.changing import end_sessions as end_sessions_of
from ostiary.audit.origin import OPERATOR
from ostiary.cli.options import AsJSON, DatabaseURL, DataDir, with_app, with_database
from ostiary.cli.output import print_json, print_table
from ostiary.cli.users.who import Who, find, name_of
from ostiary.clock import SystemClock
from ostiary.context import App
from ostiary.db import Database
from ostiary.sessions.ending import LiveSession, live_sessions
from ostiary.sessions.schemas import session_out
from ostiary.users.models import User

MOST_LISTED = 1_000
"""More than anybody can have."""


def list_sessions(
    who: Who,
    as_json: AsJSON = False,
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Print where a user is signed in, the newest session first."""

    async def work(app: App) -> Sequence[LiveSession]:
        user = await find(app.db, who)
        now = app.clock.now()
        found, _ = await app.db.read(
            live_sessions, user.id, lifetimes=app.lifetimes, skip=0, limit=MOST_LISTED, now=now
        )
        return found

    shown = [
        session_out(session, current_id=None)
        for session in with_app(work, data_dir=data_dir, database_url=database_url)
    ]
    if as_json:
        print_json({"items": shown, "total": len(shown), "skip": 0, "limit": MOST_LISTED})
        return
    names = ("created_at", "last_used_at", "expires_at", "ip", "user_agent")
    headings = ("ID", "Begun (UTC)", "Last used", "Ends", "Address", "Browser or program")
    print_table(headings, ((each["id"], *(each[name] or "" for name in names)) for each in shown))


def end_sessions(
    who: Who,
    as_json: AsJSON = False,
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Sign a user out everywhere, at once. He may sign in again; API keys stay."""

    async def work(database: Database) -> tuple[User, int]:
        user = await find(database, who)
        return user, await database.write(end_sessions_of, user.id, origin=OPERATOR, now=SystemClock().now())

    user, ended = with_database(work, data_dir=data_dir, database_url=database_url)
    if as_json:
        print_json({"user_id": user.id, "sessions": ended})
    else:
        typer.echo(f"{name_of(user)} is signed out of {ended} session{'' if ended == 1 else 's'}.")
