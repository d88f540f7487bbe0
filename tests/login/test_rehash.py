"""PW-4: what is stored of a password, and how it becomes today's kind of hash at a login."""

import asyncio
import hmac
import re
from collections.abc import Callable, Iterator
from functools import partial

import argon2
import httpx
import pytest
from argon2.low_level import Type, hash_secret
from sqlalchemy import Connection, text, update

from ostiary.context import App
from ostiary.credentials.models import password_of, passwords
from ostiary.crypto.passwords import StoredPassword
from ostiary.login.password import replace_password
from ostiary.problems import Unavailable
from tests.conftest import MakeServer, NewPlace, settings_for_tests
from tests.people import PASSWORD, Person, log_in, sign_up
from tests.server import Server
from tests.sessions.beside import restarted, rows, write
from tests.users.asking import BAD_CREDENTIALS, fingerprint, plant_user

WRONG = "wrong-horse-Battery-9"
TODAY = re.compile(r"\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}")
SALT = b"0123456789abcdef"


def old_hash(
    *, memory: int = 19_456, time: int = 2, lanes: int = 1, size: int = 32, kind: Type = Type.ID, version: int = 19
) -> str:
    return hash_secret(PASSWORD.encode(), SALT, time, memory, lanes, size, kind, version).decode()


OTHERS = {
    "less memory": old_hash(memory=4096),
    "one pass": old_hash(time=1),
    "more memory": old_hash(memory=24_000),
    "two lanes": old_hash(lanes=2),
    "short tag": old_hash(size=16),
    "argon2i": old_hash(kind=Type.I),
    "argon2d, cheap": old_hash(memory=64, time=1, kind=Type.D),
    "version 16": old_hash(version=16),
}


def kept(server: Server, person: Person) -> StoredPassword:
    def read(connection: Connection) -> StoredPassword | None:
        return password_of(connection, person.id)

    stored = write(server.settings, read)
    assert stored is not None
    return stored


def keep(server: Server, person: Person, password_hash: str, pepper_id: str | None = None) -> None:
    def change(connection: Connection) -> None:
        values = {"password_hash": password_hash, "pepper_id": pepper_id}
        connection.execute(update(passwords).where(passwords.c.user_id == person.id).values(values))

    write(server.settings, change)
    assert kept(server, person) == StoredPassword(password_hash, pepper_id)


def refused(client: httpx.Client, person: Person, password: str = WRONG) -> bool:
    answer = client.post("/auth/login", json={"email": person.email, "password": password})
    return answer.status_code == 401 and answer.json() == BAD_CREDENTIALS


def works(client: httpx.Client, person: Person) -> bool:
    return bool(client.get(f"/users/{person.id}", headers=person.auth).json() == person.user)


@pytest.fixture(scope="module")
def server(new_place: NewPlace) -> Iterator[Server]:
    """A server that hashes as it does everywhere but in tests."""
    with Server(settings_for_tests(**new_place()), real_hashing=True) as running:
        yield running


@pytest.fixture
def make_server(make_server: MakeServer) -> MakeServer:
    """Such servers of a test's own."""
    return partial(make_server, real_hashing=True)


@pytest.mark.rule("PW-4")
def test_what_is_stored_is_a_phc_string_under_a_salt_of_its_own(server: Server, client: httpx.Client) -> None:
    stored = [kept(server, sign_up(client)) for _ in range(2)]
    for one in stored:
        assert TODAY.fullmatch(one.password_hash)
        assert one.pepper_id is None
        assert argon2.PasswordHasher().verify(one.password_hash, PASSWORD)
    salts = {one.password_hash.split("$")[4] for one in stored}
    assert len(salts) == 2


@pytest.fixture(scope="module")
def person(server: Server) -> Person:
    """Somebody whose stored hash each test replaces."""
    with server.client() as client:
        return sign_up(client)


@pytest.mark.rule("PW-4")
@pytest.mark.parametrize("kind", OTHERS)
def test_other_parameters_log_in_and_become_todays(
    server: Server, client: httpx.Client, person: Person, kind: str
) -> None:
    keep(server, person, OTHERS[kind])
    assert refused(client, person)
    assert kept(server, person).password_hash == OTHERS[kind]
    assert works(client, log_in(client, person))
    upgraded = kept(server, person)
    assert TODAY.fullmatch(upgraded.password_hash)
    assert SALT not in upgraded.password_hash.encode()
    assert argon2.PasswordHasher().verify(upgraded.password_hash, PASSWORD)
    log_in(client, person)
    assert kept(server, person) == upgraded, "a hash of today's kind is left alone"
    assert refused(client, person)


def refuse_every_upgrade(app: App) -> None:
    """Let the upgrade's own write fail, and no other."""
    db_write = app.db.write

    async def planted(flow: Callable[..., object], *args: object, **kwargs: object) -> object:
        if flow is replace_password:
            raise Unavailable(reason="planted")
        return await db_write(flow, *args, **kwargs)

    app.db.write = planted  # type: ignore[method-assign, assignment]


@pytest.mark.rule("PW-4")
def test_a_login_succeeds_though_the_new_hash_cannot_be_written(make_server: MakeServer) -> None:
    server = make_server(change=refuse_every_upgrade)
    with server.client() as client:
        person = sign_up(client)
        keep(server, person, OTHERS["less memory"])
        for _ in range(2):
            assert works(client, log_in(client, person))
            assert kept(server, person).password_hash == OTHERS["less memory"]
        assert refused(client, person)
    with restarted(make_server, server).client() as client:
        log_in(client, person)
        assert TODAY.fullmatch(kept(server, person).password_hash)


def forbid_updates_of_passwords(server: Server) -> None:
    """Make the database itself refuse: a failure that nobody has put into the product's words."""

    def on_sqlite(connection: Connection) -> None:
        connection.execute(
            text("CREATE TRIGGER planted BEFORE UPDATE ON passwords BEGIN SELECT RAISE(ABORT, 'planted'); END")
        )

    def on_postgres(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE passwords ADD CONSTRAINT planted CHECK (false) NOT VALID"))

    write(server.settings, on_sqlite if server.settings.sqlite_file is not None else on_postgres)


@pytest.mark.rule("PW-4")
def test_a_login_succeeds_though_the_database_refuses_the_new_hash(make_server: MakeServer) -> None:
    server = make_server()
    with server.client() as client:
        person = sign_up(client)
        keep(server, person, OTHERS["less memory"])
        forbid_updates_of_passwords(server)
        assert works(client, log_in(client, person))
        assert kept(server, person).password_hash == OTHERS["less memory"]


@pytest.mark.rule("PW-4")
def test_a_password_that_was_changed_meanwhile_is_not_overwritten(make_server: MakeServer) -> None:
    changed = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash("another-Horse-9-staple")

    def change_password_before_the_upgrade(app: App) -> None:
        hash_password = app.hasher.hash

        async def planted(password: str) -> StoredPassword:
            upgraded = await hash_password(password)
            if password == PASSWORD and "person" in found:
                await asyncio.to_thread(keep, server, found["person"], changed)
            return upgraded

        app.hasher.hash = planted  # type: ignore[method-assign]

    found: dict[str, Person] = {}
    server = make_server(change=change_password_before_the_upgrade)
    with server.client() as client:
        person = sign_up(client)
        keep(server, person, OTHERS["less memory"])
        found["person"] = person
        log_in(client, person)
        assert kept(server, person).password_hash == changed
        assert refused(client, person, PASSWORD)


def peppered_by(server: Server, stored: StoredPassword) -> bool:
    """Tell whether a hash is of the password under the key that the installation's secret gives (HMAC-SHA-256)."""
    secret = server.app.secret
    assert stored.pepper_id in {None, secret.fingerprint}
    under_key = hmac.digest(secret.derive("pepper"), PASSWORD.encode(), "sha256")
    presented = PASSWORD.encode() if stored.pepper_id is None else under_key
    assert argon2.PasswordHasher().verify(stored.password_hash, presented)
    return stored.pepper_id is not None


@pytest.mark.rule("PW-4")
def test_a_pepper_comes_and_goes_with_logins(make_server: MakeServer) -> None:
    server = make_server()
    with server.client() as client:
        early, absent = sign_up(client), sign_up(client)
    assert not peppered_by(server, kept(server, early))
    peppered = restarted(make_server, server, password_pepper="on")
    with peppered.client() as client:
        late = sign_up(client)
        assert refused(client, early)
        assert not peppered_by(peppered, kept(peppered, early))
        for person in (early, late):
            assert works(client, log_in(client, person))
            stored = kept(peppered, person)
            assert TODAY.fullmatch(stored.password_hash)
            assert peppered_by(peppered, stored)
            assert works(client, log_in(client, person))
            assert kept(peppered, person) == stored
            assert refused(client, person)
        assert not peppered_by(peppered, kept(peppered, absent))
    plain = restarted(make_server, peppered, password_pepper="off")
    with plain.client() as client:
        assert peppered_by(plain, kept(plain, late)), "nothing changes before a login"
        for person in (early, late, absent):
            assert refused(client, person)
            assert works(client, log_in(client, person))
            assert not peppered_by(plain, kept(plain, person))
            assert works(client, log_in(client, person))


@pytest.mark.rule("PW-4")
def test_a_hash_under_a_pepper_nobody_knows_matches_nothing(server: Server, client: httpx.Client) -> None:
    person = sign_up(client)
    keep(server, person, kept(server, person).password_hash, "0" * 32)
    assert refused(client, person, PASSWORD)
    assert kept(server, person).pepper_id == "0" * 32


@pytest.mark.rule("LG-1")
def test_an_account_without_a_password_never_logs_in_and_looks_like_nobody(
    server: Server, client: httpx.Client
) -> None:
    user = plant_user(server)
    assert rows(server.settings, "SELECT * FROM passwords WHERE user_id = ?", user.id) == []

    def answer(email: str, password: str) -> object:
        return fingerprint(client.post("/auth/login", json={"email": email, "password": password}))

    base = answer("nobody-has-this-one@example.com", PASSWORD)
    for password in (PASSWORD, "", "None", "null", user.username, "x" * 5000, OTHERS["argon2i"]):
        assert answer(user.email, password) == base
    assert client.post("/auth/login", json={"email": user.email, "password": ""}).json() == BAD_CREDENTIALS
    assert rows(server.settings, "SELECT * FROM passwords WHERE user_id = ?", user.id) == []
