"""`ostiary user list`: all users, or those that are looked for, a page at a time."""

from typing import Annotated

import typer

from ostiary.administration.searching import Found, Search, canonical_beginning, find_users
from ostiary.administration.walks import ORDERS, Filters
from ostiary.cli.options import AsJSON, DatabaseURL, DataDir, with_database
from ostiary.cli.output import print_json, print_table, yes_or_no
from ostiary.db import Database
from ostiary.users.listing import PageWanted, Scope, list_pages
from ostiary.users.schemas import timestamp, user_out

MOST_LISTED = 10_000


def list_users(
    q: Annotated[
        str | None, typer.Option("--q", help="Only whose e-mail address or username begins like this.")
    ] = None,
    active: Annotated[
        bool | None, typer.Option("--active/--inactive", help="Only who may sign in; `--inactive`: only others.")
    ] = None,
    superuser: Annotated[
        bool | None, typer.Option("--superuser/--no-superuser", help="Only superusers; `--no-superuser`: only others.")
    ] = None,
    role: Annotated[str | None, typer.Option(help="Only who has this role.")] = None,
    sort: Annotated[
        str, typer.Option(help="By `id`, `email`, `username` or `created_at`; `-id` and so on the other way round.")
    ] = "id",
    skip: Annotated[int, typer.Option(min=0, max=2**53 - 1, help="How many to leave out.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=MOST_LISTED, help="How many to print at most.")] = 100,
    as_json: AsJSON = False,
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Print users, all or some, a page at a time."""
    if sort not in ORDERS:
        raise typer.BadParameter(f"one of {', '.join(ORDERS)}", param_hint="--sort")
    filters = Filters(canonical_beginning(q) if q else None, active, superuser, role)
    search = Search(Scope(), filters, ORDERS[sort], skip, limit)
    found = with_database(lambda database: _find(database, search), data_dir=data_dir, database_url=database_url)
    if as_json:
        items = [user_out(user) for user in found.items]
        print_json({"items": items, "total": found.total, "skip": skip, "limit": limit})
        return
    print_table(
        ("ID", "E-mail", "Username", "Active", "Superuser", "Created (UTC)"),
        (
            (
                str(user.id),
                user.email,
                user.username,
                yes_or_no(user.is_active),
                yes_or_no(user.is_superuser),
                timestamp(user.created_at),
            )
            for user in found.items
        ),
    )
    total = f"{found.total} or more" if found.is_capped else str(found.total)
    more = f"; more with --skip {skip + len(found.items)}" if found.has_more else ""
    typer.echo(f"{len(found.items)} of {total} users{more}", err=True)


async def _find(database: Database, search: Search) -> Found:
    """Answer a page. Of everybody in the order of ids `--skip` reaches any distance."""
    if search.filters != Filters() or search.order != ORDERS["id"]:
        return await database.read(find_users, search)
    [page] = await database.read(list_pages, [PageWanted(search.scope, search.skip, search.limit)])
    if isinstance(page, Exception):
        raise page
    has_more = bool(page.items) and search.skip + len(page.items) < page.total
    return Found(page.items, page.total, is_capped=False, has_more=has_more)
