"""List how many tests show each rule of docs/security.md: `python tools/rules.py`. Exit code 1 when one has none.

A test is marked `@pytest.mark.rule("TK-4")`; a mark on a class, or a module's `pytestmark`, speaks for all tests in it.
"""

import argparse
import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROW = re.compile(r"^\| ([A-Z]{1,2}-?\d+) \|", re.MULTILINE)


def main() -> int:
    """Print a line for each rule, then what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "security.md", help="the page with the rules")
    parser.add_argument("--tests", type=Path, default=ROOT / "tests", help="the directory of the tests")
    options = parser.parse_args()
    rules = ROW.findall(options.page.read_text(encoding="utf-8"))
    marked: Counter[str] = Counter()
    for path in sorted(options.tests.rglob("*.py")):
        marked.update(rules_shown(ast.parse(path.read_text(encoding="utf-8"))))
    for rule in rules:
        print(f"{rule:6}{marked[rule]:4}")
    missing = [rule for rule in rules if not marked[rule]]
    unknown = sorted(marked.keys() - set(rules))
    if missing:
        print(f"without a test: {', '.join(missing)}")
    if unknown:
        print(f"marked, but not on the page: {', '.join(unknown)}")
    return 1 if missing or unknown else 0


def rules_shown(tree: ast.Module) -> Iterator[str]:
    """Answer the rule ids that tests of a module are marked with, an id once for each test."""
    everywhere = [
        rule
        for statement in tree.body
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "pytestmark"
        for rule in ids_in(statement.value)
    ]
    for _, marks in tests_in(tree.body):
        yield from [*everywhere, *marks]


def tests_in(body: list[ast.stmt]) -> Iterator[tuple[str, list[str]]]:
    """Answer the tests of a module or class, each with the ids it is marked with itself or by its class."""
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef) and statement.name.startswith("test"):
            yield statement.name, [rule for mark in statement.decorator_list for rule in ids_in(mark)]
        elif isinstance(statement, ast.ClassDef) and statement.name.startswith("Test"):
            marks = [rule for mark in statement.decorator_list for rule in ids_in(mark)]
            # A class without tests of its own inherits them, as a state machine of Hypothesis does.
            for name, own in list(tests_in(statement.body)) or [(statement.name, [])]:
                yield name, marks + own


def ids_in(node: ast.expr) -> list[str]:
    """Answer the ids inside `pytest.mark.rule(…)`, wherever in an expression it stands."""
    return [
        argument.value
        for call in ast.walk(node)
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("mark.rule")
        for argument in call.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    ]


if __name__ == "__main__":
    sys.exit(main())
