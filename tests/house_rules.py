"""The house rules as functions: each looks at one module and answers what it finds wrong, line by line.

They read the source as a tree and know nothing of what names mean at run time, so they catch the careless, not the
devious.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

MOST_LINES = 400
MOST_FUNCTION_LINES = 50
MOST_MODULES = 12

FOUNDATION = (
    "clock",
    "context",
    "counters",
    "crypto",
    "db",
    "durations",
    "edge",
    "logs",
    "metrics",
    "problems",
    "settings",
    "tracing",
    "web",
)
LEVELS: tuple[tuple[str, ...], ...] = (
    FOUNDATION,
    ("audit",),
    ("keys", "users", "migrations"),
    ("mail",),
    ("credentials", "sessions", "roles"),
    ("api_keys",),
    ("login", "health", "reference"),
    ("verification",),
    ("accounts",),
    ("administration", "transfer"),
    ("upkeep", "monitoring", "doctor"),
    ("app",),
    ("cli",),
    ("__main__",),
)
"""The parts of the package, from the ground up. A part imports from below its own level; the foundation also itself."""

SLICES = (
    "audit",
    "keys",
    "users",
    "mail",
    "credentials",
    "sessions",
    "roles",
    "api_keys",
    "login",
    "verification",
    "accounts",
    "administration",
    "transfer",
    "doctor",
)
VAGUE_NAMES = {"base", "common", "helpers", "repository", "service", "utils"}
CLOCK = {"now", "utcnow", "today"}
TIMERS = {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "localtime", "gmtime"}
RANDOM_ALLOWED = {"ostiary.db.postgres"}  # jitter between tries
THREADS_ALLOWED = {
    "ostiary.audit.worker",
    "ostiary.db.sqlite",
    "ostiary.crypto.workers",
    "ostiary.mail.worker",
    "ostiary.tracing.switch",  # sending what waits, at the end
    "ostiary.upkeep",
}
THREADS = {"Thread", "ThreadPoolExecutor", "ProcessPoolExecutor", "Timer", "to_thread", "run_in_executor"}
LOOPS = {"run", "Runner", "run_until_complete", "new_event_loop"}
CHANGES = {"append", "add", "update", "pop", "clear", "extend", "insert", "remove", "setdefault", "discard", "popitem"}

ONE_ENGINE_ALLOWED = {
    "ostiary.users.bulk": "a gap in the ids, for a restored copy and for the tables of a benchmark",
    "ostiary.doctor.connections": "how many connections are left, where the engine says so",
    "ostiary.db.backups.rows": "where a sequence stands, when everything moves",
    "ostiary.migrations.versions.0002_user_counts": "an upgrade from before the first release",
    "ostiary.migrations.versions.0013_request_counts": "counts that may be lost at any time, unlogged",
    "ostiary.migrations.versions.0014_counting_nodes": "who counts at the moment, unlogged",
}
"""Who says what not every engine that speaks PostgreSQL understands; docs/high-availability.md lists them too."""

_ONE_ENGINE = re.compile(
    r"\bpg_(?!catalog\b)\w+|\b(LISTEN|NOTIFY|UNLOGGED|LOCK TABLE|ctid|xmin|xmax|nextval|currval|setval|lastval)\b"
    r"|\bCREATE (EXTENSION|TRIGGER|RULE|(OR REPLACE )?FUNCTION|TEMP)|\bWITH HOLD\b|\bDO \$"
)
_SQL = re.compile(r"\s*(SELECT\s|INSERT\s+INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|(CREATE|ALTER|DROP)\s+TABLE|PRAGMA\s)")
_COLUMN = re.compile(r"(^t|\.c)\.\w+$")  # `t` stands for a table's columns
_SECRET = re.compile(r"(^|_)(hash|token|secret|password|mac|digest|signature)$")


@dataclass(frozen=True)
class Module:
    """A source file: its dotted name and its text."""

    name: str
    source: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        return tuple(ast.walk(self.tree))

    @property
    def part(self) -> str:
        """The first name below the package; the package's own for its `__init__`."""
        return [*self.name.split("."), ""][1]

    @property
    def leaf(self) -> str:
        return self.name.rpartition(".")[2]

    @property
    def holds_sql(self) -> bool:
        """Whether statements belong here: the database's own package, and a slice's tables and flows."""
        if self.part in {"db", "migrations"}:
            return True
        return self.part in SLICES and self.leaf not in {"routes", "schemas"}

    def imports(self) -> Iterator[tuple[ast.stmt, str]]:
        """Every import of a module or of a name from it, wherever it stands, except for the type checker alone."""
        unreal = {id(node) for block in self.nodes if _is_type_checking(block) for node in ast.walk(block)}
        for node in self.nodes:
            if id(node) in unreal:
                continue
            if isinstance(node, ast.Import):
                yield from ((node, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from ((node, f"{node.module}.{alias.name}") for alias in node.names)


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def modules_in(root: Path, package: str) -> list[Module]:
    """Every module below a directory."""
    found = []
    for path in sorted(root.rglob("*.py")):
        parts = [package, *path.relative_to(root).with_suffix("").parts]
        if parts[-1] == "__init__":
            parts.pop()
        found.append(Module(".".join(parts), path.read_text(encoding="utf-8")))
    return found


def _level(part: str) -> int:
    return next((number for number, parts in enumerate(LEVELS) if part in parts), -1)


def imports_point_down(module: Module) -> Iterator[str]:
    """A part imports from levels below its own, a sister never."""
    if module.part and _level(module.part) < 0:
        yield f"{module.part} has no level in LEVELS"
    for node, name in module.imports():
        other = [*name.split("."), ""][1]
        if not name.startswith("ostiary.") or other in {"", module.part}:
            continue
        if not (_level(other) < _level(module.part) or {other, module.part} <= set(FOUNDATION)):
            yield f"line {node.lineno}: {module.part} imports {name}"


def sql_stays_in_its_place(module: Module) -> Iterator[str]:
    """Statements stand in slices and the database's package; elsewhere only `Connection` is known, as a type."""
    if module.holds_sql:
        return
    known = set() if module.leaf in {"routes", "schemas"} else {"sqlalchemy.Connection", "sqlalchemy.exc.DBAPIError"}
    for statement, name in module.imports():
        if name.split(".")[0] in {"sqlalchemy", "sqlite3", "asyncpg", "alembic"} and name not in known:
            yield f"line {statement.lineno}: imports {name}"


def text_is_for_hot_paths(module: Module) -> Iterator[str]:
    """Statements are in SQLAlchemy's words, except in modules called hot, whose text a test compares, and bulk."""
    if module.part in {"db", "migrations"} or module.leaf in {"hot", "bulk"}:
        return
    for node in module.nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _SQL.match(node.value):
            yield f"line {node.lineno}: holds SQL"


def any_postgresql_takes_it(module: Module) -> Iterator[str]:
    """No lock, signal, sequence or system function of PostgreSQL's own server: distributed engines lack them."""
    if not (module.holds_sql or module.part == "counters") or module.name in ONE_ENGINE_ALLOWED:
        return
    docstrings = {id(node.value) for node in module.nodes if isinstance(node, ast.Expr)}
    for node in module.nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            said = node.value
        elif isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "func":
            said = node.attr
        else:
            continue
        found = _ONE_ENGINE.search(said)
        if found is not None:
            yield f"line {node.lineno}: {found[0]}"


def only_the_database_commits(module: Module) -> Iterator[str]:
    """A flow's transaction is begun and ended by `db.read` and `db.write`."""
    if module.part == "db":
        return
    for node in module.nodes:
        if isinstance(node, ast.Attribute) and node.attr in {"commit", "rollback", "begin_nested"}:
            yield f"line {node.lineno}: .{node.attr}"


def only_the_clock_asks_the_time(module: Module) -> Iterator[str]:
    """Time is injected: nothing but clock.py asks the machine or the database."""
    if module.name == "ostiary.clock":
        return
    for node in module.nodes:
        if isinstance(node, ast.Attribute):
            owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            if (owner in {"datetime", "date", "func"} and node.attr in CLOCK) or (
                owner == "time" and node.attr in TIMERS
            ):
                yield f"line {node.lineno}: {owner}.{node.attr}"
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            yield f"line {node.lineno}: imports from time"


def randomness_is_from_secrets(module: Module) -> Iterator[str]:
    """What `random` gives can be foretold (SK-1)."""
    for node, name in module.imports():
        if name.split(".")[0] == "random" and module.name not in RANDOM_ALLOWED:
            yield f"line {node.lineno}: imports random"


def secrets_are_compared_in_constant_time(module: Module) -> Iterator[str]:
    """`same` or `hmac.compare_digest`, never ==, except for a column in a statement (SK-5)."""
    for node in module.nodes:
        if not isinstance(node, ast.Compare):
            continue
        sides = [node.left, *node.comparators]
        equality = any(isinstance(operator, ast.Eq | ast.NotEq) for operator in node.ops)
        harmless = any(isinstance(side, ast.Constant) or _COLUMN.search(ast.unparse(side)) for side in sides)
        if equality and any(map(_names_a_secret, sides)) and not harmless:
            yield f"line {node.lineno}: {ast.unparse(node)}"


def _names_a_secret(node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        return _names_a_secret(node.func)
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return _SECRET.search(name) is not None


def nothing_global_changes(module: Module) -> Iterator[str]:
    """No module keeps state: what lives as long as the process is in App. Constants are in capitals and stay."""
    own: set[str] = set()
    for statement in module.tree.body:
        for name, value in _bindings(statement):
            own.add(name)
            if _is_mutable(value) and not name.isupper() and not name.startswith("__"):
                yield f"line {statement.lineno}: {name} can be changed"
            if isinstance(value, ast.Call) and ast.unparse(value.func).startswith("Settings"):
                yield f"line {statement.lineno}: {name} holds settings"
    for function in (node for node in module.nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
        for node in ast.walk(function):
            if isinstance(node, ast.Global):
                yield f"line {node.lineno}: global {', '.join(node.names)}"
            changed = _changed_name(node)
            if changed in own and changed.isupper():
                yield f"line {function.lineno}: {function.name} changes {changed}"


def _bindings(statement: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(statement, ast.Assign):
        yield from ((target.id, statement.value) for target in statement.targets if isinstance(target, ast.Name))
    elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
        yield statement.target.id, statement.value


def _is_mutable(value: ast.expr) -> bool:
    if isinstance(value, ast.Call):
        return getattr(value.func, "id", "") in {"list", "dict", "set", "defaultdict", "deque", "Counter"}
    return isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp)


def _changed_name(node: ast.AST) -> str:
    target: ast.expr | None = None
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
        target = node.value
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGES:
        target = node.func.value
    return target.id if isinstance(target, ast.Name) else ""


def caches_are_bounded(module: Module) -> Iterator[str]:
    """No cache whose keys a caller chooses grows without end (IN-3)."""
    for node in module.nodes:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        has_parameters = bool(node.args.posonlyargs or node.args.args or node.args.kwonlyargs)
        for decorator in node.decorator_list:
            written = ast.unparse(decorator)
            endless = written in {"cache", "functools.cache"} or "maxsize=None" in written
            if endless and has_parameters:
                yield f"line {node.lineno}: {node.name} is cached without a bound"


def loops_and_threads_have_their_places(module: Module) -> Iterator[str]:
    """The command line runs the event loop; a few named modules have threads; flows have neither."""
    for node in module.nodes:
        if not isinstance(node, ast.Attribute | ast.Name):
            continue
        name = node.attr if isinstance(node, ast.Attribute) else node.id
        if name in THREADS and module.name not in THREADS_ALLOWED:
            yield f"line {node.lineno}: {name}"
        owner = getattr(node.value, "id", "") if isinstance(node, ast.Attribute) else ""
        if owner == "asyncio" and name in LOOPS and module.part != "cli":
            yield f"line {node.lineno}: asyncio.{name}"


def says_what_it_owns(module: Module) -> Iterator[str]:
    """Every module begins with a docstring."""
    if not ast.get_docstring(module.tree):
        yield "has no docstring"


def has_a_telling_name(module: Module) -> Iterator[str]:
    """A vague name says that the concept has not been found yet."""
    if VAGUE_NAMES & set(module.name.split(".")):
        yield "has a vague name"


def can_be_read(module: Module) -> Iterator[str]:
    """Nothing is too big to read."""
    lines = module.source.count("\n")
    if lines > MOST_LINES:
        yield f"has {lines} lines"
    for node in module.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MOST_FUNCTION_LINES:
                yield f"line {node.lineno}: {node.name} has {length} lines"
