"""The ledger itself: it finds nothing wrong with a server that is right, and everything that is planted."""

import pytest
from sqlalchemy import Connection, text

from tests.ledger import Ledger
from tests.server import Server
from tests.sessions.beside import write
from tests.sessions.waiting import wait_until

pytestmark = pytest.mark.any_engine

MINE = "(SELECT id FROM users WHERE email LIKE 'ledger-{seed}-%')"


def planted(connection: Connection, *statements: str) -> None:
    for statement in statements:
        connection.execute(text(statement))


def acting(server: Server, seed: int, *, writes: int = 4) -> Ledger:
    with Ledger(lambda: server.url, people=2, seed=seed, pause_seconds=0) as ledger:
        ledger.go_on(writes=writes)
        wait_until(lambda: ledger.found.acknowledged["rotate"] >= 2 * writes)
    return ledger


def test_nothing_is_found_where_nothing_is_wrong(server: Server) -> None:
    """In two rounds: what was checked is settled, and the people go on."""
    ledger = acting(server, 1, writes=10)
    assert ledger.check().is_clean, ledger.found
    with ledger:
        ledger.go_on()
    found = ledger.check()
    assert found.is_clean, found
    assert found.acts == len(ledger.acts) > 30
    assert found.acknowledged["sign_up"] >= 2
    assert not found.server_errors
    assert not found.unanswered
    assert 0 < found.p99("rotate") <= found.longest_gap_seconds + found.p99("rotate")


@pytest.mark.parametrize(
    ("statement", "kind", "said"),
    [
        (f"UPDATE users SET username = 'x' || id, username_key = 'x' || id WHERE id IN {MINE}", "lost", "is"),
        (f"DELETE FROM passwords WHERE user_id IN {MINE}", "lost", "log in"),
        (
            f"UPDATE sessions SET revoked_at = 1, revoked_because = 'x' WHERE user_id IN {MINE}",
            "unexpected_401s",
            "live",
        ),
        (f"UPDATE sessions SET revoked_at = NULL, revoked_because = NULL WHERE user_id IN {MINE}", "revived", "ended"),
    ],
)
def test_what_is_planted_is_found(server: Server, statement: str, kind: str, said: str) -> None:
    seed = 100 + len(statement)
    with Ledger(lambda: server.url, people=2, seed=seed, pause_seconds=0) as ledger:
        wait_until(lambda: len(ledger.book.ended) >= 1 and ledger.found.acknowledged["rotate"] > 4)
    write(server.settings, planted, statement.replace("{seed}", str(seed)))
    found = ledger.check()
    assert not found.is_clean
    assert any(said in line for line in getattr(found, kind)), found


def test_a_spent_token_that_is_taken_again_is_found(server: Server) -> None:
    """As if the live token had been spent already: the server takes it twice, the second time for a retry."""
    ledger = acting(server, 2)
    for login in (login for person in ledger.people for login in person.logins):
        login.spent = [login.live]
    assert ledger.check().revived


def test_an_outage_makes_acts_unknown_and_is_measured(server: Server) -> None:
    """Nobody listens where people are sent for a while."""
    where = [server.url]
    with Ledger(lambda: where[0], people=2, seed=3) as ledger:
        ledger.go_on()
        where[0] = "http://127.0.0.1:9"
        wait_until(lambda: ledger.found.unanswered >= 6)
        where[0] = server.url
        assert ledger.go_on() < 60
    found = ledger.check()
    assert found.is_clean, found
    assert found.longest_gap_seconds > 0.05
