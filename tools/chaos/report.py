"""The page of faults, made from the results of a run and nothing else."""

import json
from pathlib import Path
from typing import Any, TypedDict

RESULTS = "results.json"
PAGE = "README.md"


class Results(TypedDict):
    """All of a run: each test is a line as tests/faults/figures.py writes it."""

    date: str
    minutes: int
    is_long: bool
    only: str
    commit: str
    machine: dict[str, str]
    tests: list[dict[str, Any]]


def write(directory: Path) -> None:
    """Write the page beside the results."""
    results: Results = json.loads((directory / RESULTS).read_text(encoding="utf-8"))
    (directory / PAGE).write_text(page(results), encoding="utf-8")


def page(results: Results) -> str:
    """Write the page."""
    return "\n\n".join([_opening(results), _summary(results), _table(results), _conditions(results), _HOW]) + "\n"


def is_held(figure: dict[str, Any]) -> bool | None:
    """Say whether a figure keeps its bound; None where it has none."""
    if figure["at_most"] is not None:
        return bool(figure["value"] <= figure["at_most"])
    if figure["at_least"] is not None:
        return bool(figure["value"] >= figure["at_least"])
    return None


def _opening(results: Results) -> str:
    said = "# Faults\n\n<!-- Made by `make chaos`. Run it again; do not edit here. -->\n\n"
    said += f"What was done to servers on {results['date']}, in {results['minutes']} minutes, and what came of it."
    if not results["is_long"]:
        said += "\n\n**A quick run**: with as few rounds as the test suite has, where the long mode has hundreds."
    if results["only"]:
        said += f"\n\n**Not everything**: only what matches `{results['only']}`."
    return said


def _summary(results: Results) -> str:
    verdicts = [is_held(figure) for test in results["tests"] for figure in test["figures"].values()]
    failed = [test["fault"] for test in results["tests"] if not test["passed"]]
    said = f"{verdicts.count(True)} of {verdicts.count(True) + verdicts.count(False)} bounds were held,"
    said += f" in {len(results['tests'])} kinds of fault."
    if failed:
        said += f" **Failed**: {'; '.join(failed)}."
    return said


def _table(results: Results) -> str:
    rows = ["| What was done | Rounds | Figure | Value | Bound | |", "|" + " --- |" * 6]
    for test in sorted(results["tests"], key=lambda test: str(test["fault"])):
        fault, rounds = test["fault"], str(test["rounds"])
        if not test["passed"]:
            fault += " (**failed**)"
        for what, figure in test["figures"].items() or [
            ("no figures", {"value": 0, "at_most": None, "at_least": None})
        ]:
            rows.append(
                f"| {fault} | {rounds} | {what} | {_number(figure['value'])} | {_bound(figure)} | {_mark(figure)} |"
            )
            fault = rounds = ""
    return "\n".join(rows)


def _bound(figure: dict[str, Any]) -> str:
    if figure["at_most"] is not None:
        return f"≤ {_number(figure['at_most'])}"
    return "" if figure["at_least"] is None else f"≥ {_number(figure['at_least'])}"


def _mark(figure: dict[str, Any]) -> str:
    return {True: "held", False: "**missed**", None: ""}[is_held(figure)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 1000 else f"{value:,.4g}"  # noqa: PLR2004


def _conditions(results: Results) -> str:
    rows = ["## Conditions", "", "| | |", "| --- | --- |"]
    rows += [f"| {name} | {value} |" for name, value in results["machine"].items()]
    return "\n".join([*rows, f"| commit | {results['commit']} |"])


_HOW = """\
## How it is done

Servers are real processes on loopback, with real databases, mail servers and counter stores, each started for its test
and ended by its own process id. What is done to them is what happens to machines: SIGKILL at a random moment, SIGSTOP
for a process that hangs, a port where nobody listens, a proxy that delays or loses bytes, a small disk that is filled.

Meanwhile people act over HTTP, each on a thread of his own: they sign up, log in, rotate their tokens, take other
names, log out, and look at themselves. They keep a **ledger**. After the fault everything in it is compared with what
the server says then:

- What was acknowledged is there: each user with his name, each session with its newest token.
- What was spent or ended stays so: rotated tokens, sessions that were logged out.
- What had no answer happened as a whole or not at all.
- Nobody was answered 401 who had not been signed out.

After a server was killed the files are looked at as well: `PRAGMA integrity_check` and `foreign_key_check`, the counts
of users, and the chain of the audit log. A bound is that of the rule ([security.md](../security.md), FL-1 to FL-6). The
suite runs the same tests with fewer rounds and, as it shares its machine, with five times the time.

```console
$ make chaos                              # everything, in the long mode: an hour or more
$ make chaos ARGS="--quick"               # as few rounds as the suite has
$ make chaos ARGS="--only killed"         # what matches; written to .cache/chaos/latest
$ make chaos ARGS="--report"              # this page again, from results.json
```"""
