"""Fill a database with users to measure with: `python tools/fill.py --users 100000`.

They are the same people every time, all with the password StrongPass123!, and go in as an import's do. The database is
topped up: run again after a kill, or with a larger number, it adds whoever is missing. Nobody should ever sign in to
such a database from outside.
"""

import argparse
import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import argon2
from sqlalchemy import Connection

from ostiary.app import read_secret
from ostiary.cli.moving.bar import Pace, bar
from ostiary.cli.options import load_settings, opened
from ostiary.clock import SystemClock
from ostiary.crypto.passwords import MEMORY_KIB, PARALLELISM, TIME_COST
from ostiary.db import Database
from ostiary.db.schema import upgrade_schema
from ostiary.settings import Settings
from ostiary.transfer.checking import Candidate
from ostiary.transfer.importing import add_accounts
from ostiary.users.bulk import NewUser, leave_gap, prepare
from ostiary.users.counting import fold_counts
from ostiary.users.models import user_by_username_key

PASSWORD = "StrongPass123!"  # noqa: S105 - meant to be known
HASHES = 4
NAMESAKES = 64
"""So many in a row have one name, so that they are neighbours in the indexes and ten million go in quickly."""
GAP_AFTER = 1_000
WIDEST_GAP = 3_000
FOLDED_AT_ONCE = 2000

FIRST_DAY = datetime(2016, 1, 1, tzinfo=UTC)
LAST_DAY = datetime(2025, 12, 31, tzinfo=UTC)
MIX = 2_654_435_761  # Knuth's multiplier: numbers in a row become numbers all over the place

GIVEN = (  # noqa: SIM905 - easier to read than a list
    "Aiko Alejandro Amara Anastasia Anders Ayse Bao Beatriz Bjoern Chiara Chinedu Daan Dilnoza Dmitri "
    "Eirini Elif Emeka Fatima Femi Giorgos Guadalupe Haruto Hana Hyun-woo Ines Ivan Jae-min Jamal Jun "
    "Kaito Katarzyna Khadija Lakshmi Lars Leila Linh Luca Maeve Maria Mehmet Mei Mikhail Minh Nadia Ngozi "
    "Niamh Nikolaos Noor Olena Omar Oluwaseun Pavel Priya Quentin Rania Ravi Rosa Sakura Samir Siobhan "
    "Sofia Sven Tariq Thandiwe Tomasz Uma Valentina Wei Xin Yara Yusuf Zofia"
).split()
FAMILY = (  # noqa: SIM905 - easier to read than a list
    "Abdullah Adeyemi Alvarez Andersen Banerjee Bauer Bianchi Castillo Chen Cohen Costa Dimitriou Diop "
    "Dubois Eze Ferrari Fischer Garcia Gonzalez Gupta Haddad Hansen Horvath Ibrahim Ivanova Jansen "
    "Johansson Kapoor Khan Kim Kovalenko Kowalski Larsen Lefebvre Li Lopez Mbeki Moreau Mueller Murphy "
    "Mwangi Nakamura Nguyen Novak Nwosu OConnor Okafor Oezdemir Papadakis Park Patel Pereira Petrov "
    "Popescu Reddy Rossi Sato Schmidt Sharma Silva Smirnov Suzuki Takahashi Tanaka Tran Vargas Wang "
    "Watanabe Weber Yamamoto Yilmaz Zhang Zielinska"
).split()
DOMAINS = ("example.com", "mail.example.com", "example.org", "post.example.net", "uni.example.edu", "firm.example")
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def person(number: int, password_hash: str | None = None) -> Candidate:
    """Answer one of the people, counted from 0; always the same one for a number."""
    names = number // NAMESAKES * MIX
    given, family = GIVEN[names % len(GIVEN)], FAMILY[names // len(GIVEN) % len(FAMILY)]
    mixed = number * MIX % 2**32
    username = f"{given}.{family}.{_in_letters(number)}"
    email = f"{username}@{DOMAINS[mixed % len(DOMAINS)]}"
    user = NewUser(
        email=email,
        email_key=email.lower(),
        username=username,
        username_key=username.lower(),
        is_active=mixed % 23 != 0,
        is_superuser=False,
        created_at=FIRST_DAY + timedelta(seconds=mixed % int((LAST_DAY - FIRST_DAY).total_seconds())),
    )
    return Candidate(user, password_hash)


def _in_letters(number: int) -> str:
    text = ""
    while number or not text:
        number, digit = divmod(number, len(DIGITS))
        text = DIGITS[digit] + text
    return text


async def fill(settings: Settings, count: int, *, gaps: bool = False) -> int:
    """Make sure that the first people are all there; answer how many were added."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if settings.sqlite_file is not None:
        read_secret(settings)
    async with opened(settings) as database:
        await upgrade_schema(database, settings, now=SystemClock().now())
        first = await database.read(_first_missing, count)
        await database.write(prepare)
        await _add(database, first, count, gaps=gaps)
        while await database.write(fold_counts, limit=FOLDED_AT_ONCE) == FOLDED_AT_ONCE:
            pass
    return count - first


async def _add(database: Database, first: int, count: int, *, gaps: bool) -> None:
    hasher = argon2.PasswordHasher(time_cost=TIME_COST, memory_cost=MEMORY_KIB, parallelism=PARALLELISM)
    hashes = [hasher.hash(PASSWORD) for _ in range(HASHES)]
    pace = Pace(database.engine)
    with bar(count) as shown:
        done = first
        while done < count:
            end = min(done + pace.users, count)
            people = [person(number, hashes[number % HASHES]) for number in range(done, end)]
            with pace:
                await database.write(_add_people, people, gaps=gaps, now=SystemClock().now())
            done = end
            shown.show(completed=done, users=done - first)


def _add_people(connection: Connection, people: list[Candidate], *, gaps: bool, now: datetime) -> None:
    if not gaps:
        add_accounts(connection, people, now=now)
        return
    for start in range(0, len(people), GAP_AFTER):
        add_accounts(connection, people[start : start + GAP_AFTER], now=now)
        leave_gap(connection, start * MIX % WIDEST_GAP)


def _first_missing(connection: Connection, count: int) -> int:
    """Answer the first of the people who is not there: they are added in order, each chunk whole."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if user_by_username_key(connection, person(middle).user.username_key) is None:
            high = middle
        else:
            low = middle + 1
    return low


def main() -> None:
    """Fill, and say how long it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, required=True, help="how many there shall be")
    parser.add_argument("--data-dir", type=Path, help="directory of the SQLite file and the secret")
    parser.add_argument("--database-url", help="postgresql://… or sqlite:///…")
    parser.add_argument("--gaps", action="store_true", help="leave gaps in the ids, as deleted users would")
    options = parser.parse_args()
    settings = load_settings(data_dir=options.data_dir, database_url=options.database_url)
    clock = SystemClock()
    started_at = clock.monotonic()
    added = asyncio.run(fill(settings, options.users, gaps=options.gaps))
    seconds = clock.monotonic() - started_at
    print(f"{added} users added in {seconds:.1f} s, {added / seconds:,.0f}/s; {options.users} are there")


if __name__ == "__main__":
    main()
