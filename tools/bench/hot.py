"""P1 to P4, and what the plots show beside them: the hot endpoints on one core, ours and the peers' by turns."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.parts.postgres import Postgres
from tools.bench import databases
from tools.bench.load import CONNECTIONS, Load, LoadFailedError, Pattern, Spot, closed, get, headers, wrk
from tools.bench.machine import CACHE, LOAD_CORE
from tools.bench.results import Results
from tools.bench.servers import Bare, Ostiary, PocketBase

USERS = 100_000
PAGE = 10
LOGIN_CONNECTIONS = 16
"""For logins on one core. Our queue holds two seconds of hashing (PW-5), which 32 callers exceed on a slow core."""
LOGIN_SECONDS = 6.0
SLOW = 3
"""How much longer the peer's list of a large table is measured: what is under way when time is up is not counted, and
that weighs little only where it is few of many answers."""
JSON = "Content-Type: application/json"

Measure = Callable[[float, int], Load]
"""Loads for some seconds; the second argument seeds what is random."""


@dataclass(frozen=True)
class OstiarySide:
    """Ostiary with tokens at hand: what can be asked of it, each as a measurement."""

    server: Ostiary
    admin: str
    emails: list[str]
    total: int

    @classmethod
    def of(cls, server: Ostiary, users: int) -> "OstiarySide":
        """Sign the superuser in, find some users, and check that what the load will ask for is there."""
        token = server.log_in(databases.ADMIN, databases.PASSWORD)["access_token"]
        found = server.people(min(users, 4000), token=token)
        emails = [each["email"] for each in found if each["is_active"] and not each["is_superuser"]]
        side = cls(server, token, emails, users)
        side.check()
        return side

    def check(self) -> None:
        """Look once at what the answers of the load will be. Raises LoadFailedError."""
        for user_id in (1, self.total // 2, self.total):
            user = self.server.call(f"/api/v1/users/{user_id}", token=self.admin)
            _same("a user's id", user["id"], user_id)
        skip = self.total - PAGE
        page = self.server.call(f"/api/v1/users?skip={skip}&limit={PAGE}", token=self.admin)
        _same("a page's length", len(page["items"]), PAGE)
        _same("total", page["total"], self.total + 1)
        _same("first on the last page", page["items"][0]["id"], skip + 1)

    def health(self, seconds: float, seed: int) -> Load:
        """GET /health."""
        return wrk(self._spot, [get(self._spot, "/api/v1/health")], seconds=seconds, seed=seed)

    def read(self, seconds: float, seed: int) -> Load:
        """GET /users/{id}, any existing id."""
        pattern = get(self._spot, "/api/v1/users/{n}", self._bearer)
        return wrk(self._spot, [pattern], seconds=seconds, seed=seed, numbers=(1, self.total))

    def page(self, seconds: float, seed: int) -> Load:
        """GET /users at any skip that still fills a page."""
        pattern = get(self._spot, f"/api/v1/users?skip={{n}}&limit={PAGE}", self._bearer)
        return wrk(self._spot, [pattern], seconds=seconds, seed=seed, numbers=(0, self.total - PAGE))

    def refresh(self, seconds: float, seed: int) -> Load:
        """POST /auth/refresh, a chain for each connection, whose users differ."""
        first = seed * CONNECTIONS % max(1, len(self.emails) - CONNECTIONS)
        chosen = self.emails[first : first + CONNECTIONS]
        head = f"POST /api/v1/auth/refresh HTTP/1.1\r\n{headers(self._spot, JSON)}"
        request = (head, '{"refresh_token":"{token}"}')
        pairs = [self.server.log_in(email, databases.PASSWORD) for email in chosen]
        places = [{"requests": [request], "token": pair["refresh_token"]} for pair in pairs]
        return closed(self._spot, places, seconds=seconds, take='"refresh_token":"')

    def login(self, seconds: float, seed: int) -> Load:  # noqa: ARG002 - every measurement has the same shape
        """POST /auth/login."""
        return closed(self._spot, self.logins(LOGIN_CONNECTIONS), seconds=max(seconds, LOGIN_SECONDS))

    def logins(self, connections: int = CONNECTIONS) -> list[dict[str, Any]]:
        """Give each connection its own users to log in."""
        return [{"requests": self.login_requests()[place::connections]} for place in range(connections)]

    def login_requests(self) -> list[tuple[str, str]]:
        """Write the login of every user that was found."""
        head = f"POST /api/v1/auth/login HTTP/1.1\r\n{headers(self._spot, JSON)}"
        return [(head, f'{{"email":"{email}","password":"{databases.PASSWORD}"}}') for email in self.emails]

    @property
    def _spot(self) -> Spot:
        return self.server.spot

    @property
    def _bearer(self) -> str:
        return f"Authorization: Bearer {self.admin}"


@dataclass(frozen=True)
class PocketBaseSide:
    """PocketBase with tokens at hand; the same names as ours."""

    server: PocketBase
    signed_in: list[dict[str, Any]]
    users: int

    @classmethod
    def of(cls, server: PocketBase, users: int) -> "PocketBaseSide":
        """Sign users in, and check that what the load will ask for is there."""
        sign_in = "/api/collections/users/auth-with-password"
        known = [
            server.call(sign_in, {"identity": databases.pocketbase_email(number), "password": databases.PASSWORD})
            for number in range(CONNECTIONS)
        ]
        page = server.call(f"{_RECORDS}?page={users // PAGE}&perPage={PAGE}", token=known[0]["token"])
        _same("a page's length", len(page["items"]), PAGE)
        _same("totalItems", page["totalItems"], users)
        own = server.call(f"{_RECORDS}/{known[1]['record']['id']}", token=known[1]["token"])
        _same("an own record", own["email"], databases.pocketbase_email(1))
        return cls(server, known, users)

    def health(self, seconds: float, seed: int) -> Load:
        """GET /api/health."""
        return wrk(self._spot, [get(self._spot, "/api/health")], seconds=seconds, seed=seed)

    def read(self, seconds: float, seed: int) -> Load:
        """GET the own record of one of those signed in."""
        patterns = [
            get(self._spot, f"{_RECORDS}/{each['record']['id']}", f"Authorization: {each['token']}")
            for each in self.signed_in
        ]
        return wrk(self._spot, patterns, seconds=seconds, seed=seed)

    def page(self, seconds: float, seed: int) -> Load:
        """GET a page of ten with the total, any page."""
        path = f"{_RECORDS}?page={{n}}&perPage={PAGE}"
        pattern: Pattern = get(self._spot, path, f"Authorization: {self.signed_in[0]['token']}")
        slowness = SLOW if self.users == USERS else 1
        return wrk(self._spot, [pattern], seconds=slowness * seconds, seed=seed, numbers=(1, self.users // PAGE))

    def refresh(self, seconds: float, seed: int) -> Load:  # noqa: ARG002 - every measurement has the same shape
        """POST auth-refresh, a chain for each connection, as ours."""
        head = "POST /api/collections/users/auth-refresh HTTP/1.1\r\n"
        head += headers(self._spot, JSON, "Authorization: {token}")
        places = [{"requests": [(head, "")], "token": each["token"]} for each in self.signed_in]
        return closed(self._spot, places, seconds=seconds, take='"token":"')

    def login(self, seconds: float, seed: int) -> Load:  # noqa: ARG002 - the same
        """POST auth-with-password."""
        head = f"POST /api/collections/users/auth-with-password HTTP/1.1\r\n{headers(self._spot, JSON)}"
        emails = [databases.pocketbase_email(number) for number in range(1000)]
        requests = [(head, f'{{"identity":"{email}","password":"{databases.PASSWORD}"}}') for email in emails]
        places = [{"requests": requests[place::LOGIN_CONNECTIONS]} for place in range(LOGIN_CONNECTIONS)]
        return closed(self._spot, places, seconds=max(seconds, LOGIN_SECONDS))

    @property
    def _spot(self) -> Spot:
        return self.server.spot


_RECORDS = "/api/collections/users/records"
OF_BAR = {
    "P1": ("sqlite.read", "pocketbase.read", "bare.answer"),
    "P2": ("postgres.read", "pocketbase.read"),
    "P3": ("sqlite.list", "pocketbase.list", "pocketbase.list-1000"),
    "P4": ("sqlite.refresh", "pocketbase.refresh", "postgres.refresh", "bare.answer"),
}
BESIDE = (
    *("sqlite.health", "pocketbase.health", "sqlite.login", "pocketbase.login"),
    *("postgres.health", "postgres.list", "postgres.login"),
)
"""Not in a bar, but in the plots; only measured when nothing is left out."""


def measure(results: Results, bars: set[str], *, rounds: int, seconds: float) -> None:
    """Take every figure once in each round, ours next to theirs."""
    wanted = list(dict.fromkeys(key for bar in ("P1", "P2", "P3", "P4") if bar in bars for key in OF_BAR[bar]))
    if set(OF_BAR) <= bars:
        wanted += BESIDE
    if not wanted:
        return
    with sides(wanted) as measures:
        for turn in range(1, rounds + 1):
            print(f"Hot endpoints, round {turn} of {rounds}", flush=True)
            for key in wanted:
                try:
                    results.note_load(key, measures[key](seconds, turn))
                except LoadFailedError as failure:
                    results.fail(key, str(failure))


@contextmanager
def sides(wanted: list[str]) -> Iterator[dict[str, Measure]]:
    """Start the servers that are wanted, filled; those that are not being asked are idle."""
    measures: dict[str, Measure] = {}
    names = {key.partition(".")[0] for key in wanted}
    with ExitStack() as stack:
        bare = stack.enter_context(Bare(log=CACHE / "bare.log"))
        measures["bare.answer"] = lambda seconds, seed: wrk(
            bare.spot, [get(bare.spot, "/")], seconds=seconds, seed=seed, core=LOAD_CORE
        )
        if "sqlite" in names:
            server = stack.enter_context(Ostiary(databases.ostiary(USERS)))
            measures |= _named("sqlite", OstiarySide.of(server, USERS))
        if "postgres" in names:
            measures |= _named("postgres", _on_postgres(stack))
        if "pocketbase" in names:
            peer = stack.enter_context(PocketBase(databases.pocketbase(USERS)))
            measures |= _named("pocketbase", PocketBaseSide.of(peer, USERS))
        if "pocketbase.list-1000" in wanted:
            small = stack.enter_context(PocketBase(databases.pocketbase(1000)))
            measures["pocketbase.list-1000"] = PocketBaseSide.of(small, 1000).page
        yield measures


def _on_postgres(stack: ExitStack) -> OstiarySide:
    """Fill a database on a PostgreSQL of our own; left to the scheduler, durable as it comes."""
    url = stack.enter_context(Postgres()).create_database()
    data_dir = empty_directory(CACHE / "postgres-data")
    where = ("--data-dir", str(data_dir), "--database-url", url)
    databases.fill(USERS, *where)
    databases.make_superuser(*where)
    return OstiarySide.of(stack.enter_context(Ostiary(data_dir, database_url=url)), USERS)


def empty_directory(place: Path) -> Path:
    """Make a directory, or empty it."""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in place.iterdir():
        file.unlink()
    return place


def _named(name: str, side: OstiarySide | PocketBaseSide) -> dict[str, Measure]:
    ways: dict[str, Measure] = {
        "health": side.health,
        "read": side.read,
        "list": side.page,
        "refresh": side.refresh,
        "login": side.login,
    }
    return {f"{name}.{way}": run for way, run in ways.items()}


def _same(what: str, seen: object, expected: object) -> None:
    if seen != expected:
        raise LoadFailedError(f"{what} is {seen!r}, not {expected!r}")
