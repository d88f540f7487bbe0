"""The house rules hold in the whole package, and every rule can fail."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import house_rules as house
from tests.house_rules import Module, modules_in
from tests.upgrades.declarations import breaks

Rule = Callable[[Module], Iterator[str]]

ROOT = Path(__file__).parents[1]
REVISIONS = ROOT / "src" / "ostiary" / "migrations" / "versions"
PLEDGED_AFTER = "0011"
"""Since the revision after this one, servers heed what a newer schema says of itself."""
PACKAGE = modules_in(ROOT / "src" / "ostiary", "ostiary")
BESIDE = [*modules_in(ROOT / "tests", "tests"), *modules_in(ROOT / "tools", "tools")]

LONG_FUNCTION = "def flow():\n" + "    pass\n" * 50
BROKEN: list[tuple[Rule, str, str]] = [
    (house.imports_point_down, "ostiary.users.accounts", "from ostiary.sessions.models import sessions"),
    (house.imports_point_down, "ostiary.sessions.ending", "import ostiary.credentials.models"),
    (house.imports_point_down, "ostiary.db.sqlite", "def f():\n    from ostiary.users import models"),
    (house.imports_point_down, "ostiary.login.signup", "from ostiary.app import create_app"),
    (house.imports_point_down, "ostiary.app", "from ostiary import cli"),
    (house.imports_point_down, "ostiary.billing.models", ""),
    (house.sql_stays_in_its_place, "ostiary.users.routes", "from sqlalchemy import Connection"),
    (house.sql_stays_in_its_place, "ostiary.cli.user", "from sqlalchemy import select"),
    (house.sql_stays_in_its_place, "ostiary.app", "import sqlite3"),
    (house.text_is_for_hot_paths, "ostiary.edge.limits", "query = 'SELECT 1'"),
    (house.text_is_for_hot_paths, "ostiary.users.models", "query = f'SELECT {columns} FROM users'"),
    (house.any_postgresql_takes_it, "ostiary.users.hot", "QUERY = 'SELECT pg_try_advisory_xact_lock($1)'"),
    (
        house.any_postgresql_takes_it,
        "ostiary.users.counting",
        "connection.execute(select(func.nextval('users_id_seq')))",
    ),
    (house.any_postgresql_takes_it, "ostiary.counters.postgres", "QUERY = f'LISTEN {channel}'"),
    (house.any_postgresql_takes_it, "ostiary.migrations.versions.0099_x", "op.execute('CREATE TRIGGER t')"),
    (house.only_the_database_commits, "ostiary.users.accounts", "def f(c):\n    c.commit()"),
    (house.only_the_clock_asks_the_time, "ostiary.users.accounts", "now = datetime.now(UTC)"),
    (house.only_the_clock_asks_the_time, "ostiary.users.accounts", "now = datetime.datetime.utcnow()"),
    (house.only_the_clock_asks_the_time, "ostiary.users.accounts", "now = func.now()"),
    (house.only_the_clock_asks_the_time, "ostiary.counters.windows", "import time\nnow = time.monotonic()"),
    (house.only_the_clock_asks_the_time, "ostiary.counters.windows", "from time import perf_counter"),
    (house.randomness_is_from_secrets, "ostiary.crypto.opaque", "import random"),
    (house.randomness_is_from_secrets, "ostiary.crypto.opaque", "from random import choice"),
    (house.secrets_are_compared_in_constant_time, "ostiary.sessions.refresh", "ok = row.refresh_hash == presented"),
    (house.secrets_are_compared_in_constant_time, "ostiary.sessions.refresh", "ok = a != token_hash(b)"),
    (house.nothing_global_changes, "ostiary.users.accounts", "seen = {}"),
    (house.nothing_global_changes, "ostiary.users.accounts", "SEEN = set()\ndef f(x):\n    SEEN.add(x)"),
    (house.nothing_global_changes, "ostiary.users.accounts", "SEEN: dict = {}\ndef f(x):\n    SEEN[x] = 1"),
    (house.nothing_global_changes, "ostiary.users.accounts", "N = 0\ndef f():\n    global N\n    N = 1"),
    (house.nothing_global_changes, "ostiary.users.accounts", "settings = Settings.load()"),
    (house.caches_are_bounded, "ostiary.users.address", "@cache\ndef key(text):\n    pass"),
    (house.caches_are_bounded, "ostiary.users.address", "@lru_cache(maxsize=None)\ndef key(text):\n    pass"),
    (house.loops_and_threads_have_their_places, "ostiary.users.accounts", "asyncio.run(f())"),
    (house.loops_and_threads_have_their_places, "ostiary.web.body", "threading.Thread(target=f)"),
    (house.loops_and_threads_have_their_places, "ostiary.login.password", "await asyncio.to_thread(f)"),
    (house.says_what_it_owns, "ostiary.users.accounts", "import os"),
    (house.has_a_telling_name, "ostiary.users.service", ""),
    (house.has_a_telling_name, "ostiary.utils.text", ""),
    (house.can_be_read, "ostiary.users.accounts", "\n" * 401),
    (house.can_be_read, "ostiary.users.accounts", LONG_FUNCTION),
]
KEPT: list[tuple[Rule, str, str]] = [
    (house.imports_point_down, "ostiary.login.signup", "from ostiary.users import accounts\nimport os"),
    (house.imports_point_down, "ostiary.context", "if TYPE_CHECKING:\n    from ostiary.users.models import User"),
    (house.imports_point_down, "ostiary.db.sqlite", "from ostiary.problems import Problem"),
    (house.sql_stays_in_its_place, "ostiary.users.accounts", "from sqlalchemy import select"),
    (house.text_is_for_hot_paths, "ostiary.users.hot", "query = 'SELECT 1'"),
    (
        house.any_postgresql_takes_it,
        "ostiary.users.hot",
        "def f():\n    'Do not LISTEN.'\n    return 'FROM pg_catalog.x'",
    ),
    (house.sql_stays_in_its_place, "ostiary.upkeep", "from sqlalchemy import Connection"),
    (house.only_the_clock_asks_the_time, "ostiary.users.accounts", "now = clock.now()"),
    (house.secrets_are_compared_in_constant_time, "ostiary.x", "live = t.token_hash == token_hash(presented)"),
    (house.secrets_are_compared_in_constant_time, "ostiary.x", "live = tokens.c.token_hash == token_hash(presented)"),
    (house.secrets_are_compared_in_constant_time, "ostiary.x", "empty = token == ''"),
    (
        house.nothing_global_changes,
        "ostiary.x",
        "NAMES = {'a': 1}\n__all__ = ['x']\ndef f():\n    own = []\n    own.append(1)",
    ),
    (
        house.caches_are_bounded,
        "ostiary.x",
        "@cache\ndef load():\n    pass\n@lru_cache(maxsize=8)\ndef f(x):\n    pass",
    ),
    (house.loops_and_threads_have_their_places, "ostiary.cli.serve", "asyncio.run(f())"),
    (house.can_be_read, "ostiary.x", "\n" * 400),
]
RULES = list(dict.fromkeys(rule for rule, _, _ in BROKEN))


def name_of(value: object) -> str:
    return getattr(value, "__name__", "")


@pytest.mark.parametrize("rule", RULES, ids=name_of)
@pytest.mark.rule("SK-1", "SK-5", "FL-5", "IN-3")
def test_rule_holds_in_the_package(rule: Rule) -> None:
    assert [f"{module.name}: {finding}" for module in PACKAGE for finding in rule(module)] == []


@pytest.mark.parametrize("rule", [house.can_be_read, house.has_a_telling_name], ids=name_of)
def test_rule_holds_beside_the_package(rule: Rule) -> None:
    assert [f"{module.name}: {finding}" for module in BESIDE for finding in rule(module)] == []


@pytest.mark.parametrize(("rule", "name", "source"), BROKEN, ids=name_of)
def test_rule_finds_what_breaks_it(rule: Rule, name: str, source: str) -> None:
    assert list(rule(Module(name, source)))


@pytest.mark.parametrize(("rule", "name", "source"), KEPT, ids=name_of)
def test_rule_lets_pass_what_keeps_it(rule: Rule, name: str, source: str) -> None:
    assert list(rule(Module(name, source))) == []


def test_no_rule_is_left_out() -> None:
    rules = [
        value
        for name, value in vars(house).items()
        if callable(value) and value.__module__ == house.__name__ and not name.startswith("_") and name.islower()
    ]
    assert set(rules) - {modules_in} == set(RULES)


def test_every_folder_can_be_overlooked() -> None:
    folders = Counter(path.parent for path in (ROOT / "src").rglob("*.py"))
    del folders[REVISIONS]  # history only grows
    assert {folder.name: count for folder, count in folders.items() if count > house.MOST_MODULES} == {}


@pytest.mark.rule("ST-3")
def test_revisions_only_add_or_declare_the_break() -> None:
    """See `ostiary.db.history.revisions` for what a revision declares."""
    newer = [path for path in sorted(REVISIONS.glob("*.py")) if path.name[:4] > PLEDGED_AFTER]
    assert newer
    assert [f"{path.name}: {said}" for path in newer for said in breaks(path.read_text())] == []


def test_no_module_imports_itself_round_a_corner() -> None:
    names = {module.name for module in PACKAGE}
    imports = {module.name: {_imported(name, names) for _, name in module.imports()} & names for module in PACKAGE}
    assert _a_circle(imports) == []
    assert _a_circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) != []


def _imported(name: str, names: set[str]) -> str:
    return name if name in names else name.rpartition(".")[0]


def _a_circle(imports: dict[str, set[str]]) -> list[str]:
    """Take away whatever imports nothing that is left, again and again; what stays goes round in a circle."""
    left = {name: set(others) for name, others in imports.items()}
    while True:
        done = {name for name, others in left.items() if not others & left.keys()}
        if not done:
            return sorted(left)
        left = {name: others for name, others in left.items() if name not in done}
