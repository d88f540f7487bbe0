"""What a server works with beside its database is away or slow: Valkey and the mail server. Logins do not notice."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from statistics import median
from typing import NamedTuple

import pytest

from tests.faults.figures import Figures, rounds
from tests.faults.intact import ENVIRONMENT, SLACK
from tests.ledger import Findings, Ledger
from tests.parts.smtp import MailServer
from tests.parts.valkey import Valkey
from tests.parts.wire import Wire
from tests.server import Process
from tests.sessions.waiting import wait_until

pytestmark = [pytest.mark.any_engine, pytest.mark.timeout(3600)]

SERVED_PERCENT = 99.9
SLOWER_AT_MOST = 2.0
"""Both are FL-4's."""
WEIGHTS = {"read": 30, "rotate": 20, "log_in": 40, "log_out": 5, "sign_up": 5}
NO_LIMIT = "1000000/minute"


class Neighbours(NamedTuple):
    """A server, and what it works with."""

    process: Process
    valkey: Valkey
    to_valkey: Wire
    mail: MailServer
    to_mail: Wire


@pytest.fixture(scope="module")
def neighbours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neighbours]:
    with ExitStack() as stack:
        valkey, mail = stack.enter_context(Valkey()), stack.enter_context(MailServer())
        to_valkey, to_mail = stack.enter_context(Wire(valkey.port)), stack.enter_context(Wire(mail.port))
        environment = ENVIRONMENT | {
            "OSTIARY_RATE_LIMIT": "on",
            "OSTIARY_RATE_LIMIT_PER_ADDRESS": NO_LIMIT,
            "OSTIARY_RATE_LIMIT_PER_USER": NO_LIMIT,
            "OSTIARY_REDIS_URL": f"redis://127.0.0.1:{to_valkey.port}",
            "OSTIARY_MAIL_URL": f"smtp://127.0.0.1:{to_mail.port}",
            "OSTIARY_MAIL_FROM": "accounts@example.com",
        }
        process = Process(tmp_path_factory.mktemp("neighbours") / "data", environment=environment)
        yield Neighbours(stack.enter_context(process), valkey, to_valkey, mail, to_mail)


@pytest.fixture(scope="module")
def as_ever(neighbours: Neighbours) -> Findings:
    """The same load with nothing wrong."""
    wait_until(lambda: is_counting_in_valkey(neighbours.process))
    return load(neighbours)


def people(neighbours: Neighbours) -> Ledger:
    return Ledger(lambda: neighbours.process.url, people=2, seed=random.randrange(10**6), weights=WEIGHTS)


def load(neighbours: Neighbours, meanwhile: Callable[[], None] = lambda: None) -> Findings:
    """Let people log in again and again; answer what they saw."""
    ledger = people(neighbours)
    with ledger:
        meanwhile()
        wanted = rounds(15, 1000)
        end = time.monotonic() + 10 * wanted
        while ledger.found.acknowledged["log_in"] < wanted:
            assert time.monotonic() < end, ledger.found
            time.sleep(0.02)
    found = ledger.check()
    assert found.is_clean, found
    return found


def is_counting_in_valkey(process: Process) -> bool:
    said = process.log.read_text()
    return said.count("counter_store_away") == said.count("counter_store_back")


def refuse_mail(neighbours: Neighbours) -> None:
    neighbours.to_mail.is_down = True
    neighbours.to_mail.cut()


def hang_mail(neighbours: Neighbours) -> None:
    neighbours.to_mail.hangs = True


def stop_valkey(neighbours: Neighbours) -> None:
    neighbours.valkey.stop()


def pause_valkey(neighbours: Neighbours) -> None:
    neighbours.valkey.pause()


def flush_valkey(neighbours: Neighbours) -> None:
    neighbours.valkey.flush()


def slow_valkey(neighbours: Neighbours) -> None:
    neighbours.to_valkey.delay_seconds = 0.5


def hold_valkey_up(neighbours: Neighbours) -> None:
    """Late with every answer, and never so late that a server gives up waiting for one."""
    neighbours.to_valkey.delay_seconds = 0.1
    with people(neighbours):  # whose logins take longer, until the server has seen enough of it
        wait_until(lambda: not is_counting_in_valkey(neighbours.process))


def recover(neighbours: Neighbours) -> None:
    neighbours.to_mail.is_down = neighbours.to_mail.hangs = False
    neighbours.to_valkey.delay_seconds = 0.0
    neighbours.valkey.stop()
    neighbours.valkey.start()


@pytest.mark.rule("FL-4", "RL-3")
@pytest.mark.parametrize(
    ("break_it", "what"),
    [
        (refuse_mail, "the mail server cuts off whoever connects"),
        (hang_mail, "the mail server takes everything and answers nothing"),
        (stop_valkey, "Valkey stops"),
        (pause_valkey, "Valkey is paused (SIGSTOP)"),
        (flush_valkey, "Valkey is emptied"),
        (slow_valkey, "Valkey answers a second late"),
        (hold_valkey_up, "Valkey answers a fifth of a second late, for longer than a second"),
    ],
)
def test_logins_do_not_notice(
    neighbours: Neighbours,
    as_ever: Findings,
    figures: Figures,
    break_it: Callable[[Neighbours], None],
    what: str,
) -> None:
    figures.fault = f"{what}, while people log in"
    wait_until(lambda: is_counting_in_valkey(neighbours.process))
    try:
        found = load(neighbours, lambda: break_it(neighbours))
    finally:
        recover(neighbours)
    failures = found.unanswered + found.limited + found.server_errors.total()
    figures["logins"] = found.acknowledged["log_in"]
    figures.at_least("acts served, %", 100 * found.acts / (found.acts + failures), SERVED_PERCENT)
    figures["p99 of logins as ever, ms"] = 1000 * as_ever.p99("log_in")
    figures["p99 of logins meanwhile, ms"] = 1000 * found.p99("log_in")
    figures.at_most("times as slow", found.p99("log_in") / as_ever.p99("log_in"), SLOWER_AT_MOST)
    assert failures == 0, found
    assert median(found.latencies["log_in"]) < max(SLACK * median(as_ever.latencies["log_in"]), 1.0)


@pytest.mark.rule("FL-4")
def test_mail_leaves_later_each_once(neighbours: Neighbours, figures: Figures) -> None:
    """As soon as its server is back, and not twice, whatever the server was told before it went."""
    figures.fault = "the mail server is away, and comes back"
    refuse_mail(neighbours)
    ledger = Ledger(lambda: neighbours.process.url, people=2, seed=random.randrange(10**6), weights={"sign_up": 1})
    with ledger:
        ledger.go_on(writes=rounds(4, 40))
    promised = {account.email for account in ledger.book.signed_up}

    def arrived() -> list[str]:
        return [recipient for mail in neighbours.mail.taken for recipient in mail.recipients if recipient in promised]

    assert arrived() == []
    began_at = time.monotonic()
    recover(neighbours)
    wait_until(lambda: set(arrived()) == promised)
    figures["mails promised"] = len(promised)
    figures["all of them there, s after it is back"] = time.monotonic() - began_at
    time.sleep(0.5)
    assert sorted(arrived()) == sorted(promised), "each once"
