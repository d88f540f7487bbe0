"""Write the pages of docs/ that are made from the code: `python tools/docs.py`, or `--check` to see if one is stale."""

import argparse
import json
import sys
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command

from ostiary.app import ENDPOINTS
from ostiary.cli.main import COMMANDS, cli
from ostiary.doctor.faults import FAULTS, Severity
from ostiary.metrics.declared import TOPICS
from ostiary.settings import Description, describe
from ostiary.web.openapi import openapi_document

ROOT = Path(__file__).resolve().parent.parent

CONFIGURATION = """\
# Configuration

<!-- Made from src/ostiary/settings/ by `make docs`. Edit there, not here. -->

Nothing has to be configured to try Ostiary on your own machine. `ostiary config` prints every setting with the value
it has and where it came from; secrets are masked.

## How settings are given

A setting is looked for in these places, and the first that has it wins:

1. the command line, where the command has an option for it (`--port 9000`; see `ostiary serve --help`);
2. the environment, as `OSTIARY_` and the name in capitals (`OSTIARY_PORT=9000`);
3. the file `.env` in the working directory, in the same spelling;
4. the file `ostiary.toml` in the working directory, or the one that `OSTIARY_CONFIG_FILE` names (`port = 9000`);
5. the default.

A value that is given empty is a value, not the default: an empty list where a list is asked for, a mistake elsewhere.
Names that are not settings are mistakes too, except the variables that Kubernetes makes for a Service
(`OSTIARY_SERVICE_HOST`, `OSTIARY_PORT=tcp://…` and the like), which are passed over. If anything is wrong, the command
ends with exit code 2 and lists all mistakes at once.

## How values are written

| Kind | Written |
| --- | --- |
| switch | `on`, `true`, `yes`, `1` or `off`, `false`, `no`, `0` |
| length of time | a whole number and its unit: `150ms`, `10s`, `15m`, `24h`, `30d`; `0` needs none |
| rate | a number and a window: `100/minute`, `1000/hour`, `3/15minutes`, `5/10s` |
| list | separated by commas; in the TOML file also an array of strings |
| path | relative paths start at the working directory, `~` is the home directory |

In the TOML file every setting stands at the top level, under its name in lower case:

```toml
host = "0.0.0.0"
public_url = "https://accounts.example.com"
directory_visibility = "self"
trusted_proxies = ["10.0.0.0/8"]
access_token_lifetime = "10m"
```

A loopback address, where defaults depend on it, is `localhost`, a name that ends in `.localhost`, `127.0.0.0/8` or
`::1`.
"""


def configuration() -> str:
    """Render the reference of all settings, grouped by topic in the order of the fields."""
    sections = [CONFIGURATION]
    for topic, settings in groupby(describe(), key=lambda setting: setting.topic):
        rows = "\n".join(_row(setting) for setting in settings)
        sections.append(
            f"## {topic}\n\n| Variable | Meaning | Accepts | Default |\n| --- | --- | --- | --- |\n{rows}\n"
        )
    return "\n".join(sections)


def _row(setting: Description) -> str:
    cells = f"`{setting.variable}`", setting.meaning, setting.accepts, setting.default
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def openapi() -> str:
    """Render the API's description, as `ostiary openapi` prints it: for readers, and to see in review what changes."""
    document = openapi_document(ENDPOINTS, public_url="http://localhost:8000")
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


COMMANDS_PAGE = """\
# The command line

<!-- Made from src/ostiary/cli/ by `make docs`. Edit there, not here. -->

Commands find their installation as `serve` does: by `--data-dir` and `--database-url`, the environment, the files that
[configuration.md](configuration.md) names, and at last `./ostiary-data`. They work beside a running server, which
takes notice at once, of changed keys within seconds. Where there is no installation yet, `serve`, `user create` and
`db upgrade` begin one; the others say so and stop, so that nobody in the wrong directory makes one by mistake.

| Exit code | Means |
| --- | --- |
| 0 | done; for `serve`, stopped in good order by SIGTERM or Ctrl-C |
| 1 | refused (no such user, name taken, last superuser), or the answer is no |
| 2 | wrong usage or settings; all mistakes in the settings are listed at once |
| 3 | the surroundings are not as they must be: nothing installed there, database away or newer, port taken |
| 4 | done, but not everything could go with it: an import rejected lines, an export left hashes out |
| 130 | interrupted |

What goes wrong is one line on standard error. What a command has to say for scripts is on standard output; `--json`
makes it JSON: a user as the API shows it, a list of users as the API's envelope (`items`, `total`, `skip`, `limit`), a
key as `kid`, `algorithm`, `state`, `created_at`, `activates_at`, `revoked_at`. Times are UTC. Members may be added,
never removed or renamed.

| Everywhere | Means |
| --- | --- |
| `WHO` | a user, by id, e-mail address or username |
| `--data-dir …` | the directory of the SQLite file and the secret (`OSTIARY_DATA_DIR`) |
| `--database-url …` | the database, `postgresql://…` or `sqlite:///…` (`OSTIARY_DATABASE_URL`) |
| `--json` | JSON for scripts, instead of a table or a sentence |
| `--yes`, `-y` | go ahead without asking; needed where there is no terminal |
"""
COMMON = {"WHO", "--data-dir", "--database-url", "--json", "--yes"}


def commands() -> str:
    """Render the reference of all commands, in the order of the help."""
    group = get_command(cli)
    context = typer.Context(group, info_name="ostiary")
    sections = [COMMANDS_PAGE]
    for name in COMMANDS:
        _, command, _ = group.resolve_command(context, [name])  # type: ignore[attr-defined]
        below = getattr(command, "commands", None)
        if below is None:
            sections.append(_command(f"ostiary {name}", command))
        else:
            sections += [_command(f"ostiary {name} {verb}", below[verb]) for verb in below]
    return "\n".join(sections)


def _command(name: str, command: Any) -> str:
    usage = " ".join([name, *map(_usage, command.params)])
    text = f"## {name}\n\n{command.help}\n\n```text\n{usage}\n```\n"
    own = [parameter for parameter in command.params if not COMMON & {*parameter.opts, parameter.metavar}]
    rows = "".join(f"| `{_spelt(parameter)}` | {_meaning(parameter)} |\n" for parameter in own)
    return f"{text}\n| Option | Meaning |\n| --- | --- |\n{rows}" if rows else text


def _meaning(parameter: Any) -> str:
    default = "" if parameter.default in {None, False} else f" Default: {parameter.default}."
    return f"{parameter.help}{default}"


def _spelt(parameter: Any) -> str:
    if parameter.metavar:
        return str(parameter.metavar)
    return ", ".join(parameter.opts) + ("" if parameter.is_flag else " …")


def _usage(parameter: Any) -> str:
    text = parameter.metavar or parameter.opts[0] + ("" if parameter.is_flag else " …")
    return str(text) if parameter.required else f"[{text}]"


METRICS_PAGE = """\
# Metrics

<!-- Made from src/ostiary/metrics/declared.py by `make docs`. Edit there, not here. -->

`GET /metrics` is for Prometheus. It is off until one of two settings names a place for it:

- `OSTIARY_METRICS_PORT=9464`: a port of its own, on `OSTIARY_METRICS_HOST` (this machine alone, unless changed).
  Nothing else is served there, and no request limit applies.
- `OSTIARY_METRICS_TOKEN=…` without a port: beside the API, for whoever brings that token (`Authorization: Bearer …`).
  Such requests count against the request limit of their address, right token or wrong.

With both, the port asks for the token. With `--workers`, every process tells of itself alone, so that each needs a
port: the first takes `OSTIARY_METRICS_PORT`, each other the next, and Prometheus should know them all.

Nothing in a metric tells who somebody is: labels are words from the code, and a `route` is the path as an endpoint
declares it (`/api/v1/users/{user_id}`), or `none` where a request was answered before any endpoint was looked for, as
those over the limit are.

Figures of a process begin at nought with it. Those of the database are counted when Prometheus asks, at most once a
second; while the database does not answer within two seconds they are left out, and `ostiary_database_up` is 0. Every
server on one database tells the same of it: take `max`, not `sum`.
"""


def metrics() -> str:
    """Render the reference of all metrics."""
    sections = [METRICS_PAGE]
    for topic, declared in TOPICS.items():
        rows = "\n".join(
            f"| `{metric.name}` | {metric.kind} | {', '.join(f'`{label}`' for label in metric.labels)} "
            f"| {metric.meaning} |"
            for metric in declared
        )
        sections.append(f"## {topic}\n\n| Metric | Kind | Labels | Meaning |\n| --- | --- | --- | --- |\n{rows}\n")
    return "\n".join(sections)


DOCTOR_PAGE = """\
# What the doctor finds

`ostiary doctor` looks at settings, secret, files, disk, database, schema, keys, mail and a running server, changes and
sends nothing, and says what is wrong and how to mend it. It asks the server at `public_url`, unless that is this
machine; `--url` names another. `--json` says it to scripts. This page is generated: `make docs`.

Exit code 0: nothing is wrong, or only notes. 1: there are warnings. 2: there are errors. The names stay as they are.

```console
$ ostiary doctor || true
```

It cannot see what stands between your users and the proxy, whether copies are kept elsewhere, and how far behind the
replicas of a PostgreSQL are.
"""


def doctor() -> str:
    """Render every fault that the doctor knows, the worst first."""
    sections = [DOCTOR_PAGE]
    for severity in Severity:
        rows = "\n".join(
            f"| `{fault.name}` | {fault.means} | {fault.mend} |"
            for fault in FAULTS.values()
            if fault.severity is severity
        )
        heading = f"## {severity.value.capitalize()}s"
        sections.append(f"{heading}\n\n| Name | What is wrong | How to mend it |\n| --- | --- | --- |\n{rows}\n")
    return "\n".join(sections)


PAGES: tuple[tuple[str, Callable[[], str]], ...] = (
    ("docs/configuration.md", configuration),
    ("docs/cli.md", commands),
    ("docs/metrics.md", metrics),
    ("docs/doctor.md", doctor),
    ("docs/openapi.json", openapi),
)
"""Every generated page: its path in the repository and what renders it."""


def main() -> int:
    """Write the pages, or with --check compare them and answer 1 when one is stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a page is stale")
    only_check = parser.parse_args().check
    stale = 0
    for name, render in PAGES:
        path, text = ROOT / name, render()
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if only_check:
            print(f"{name} is stale: run `make docs` and commit the result")
            stale = 1
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"{name} written")
    return stale


if __name__ == "__main__":
    sys.exit(main())
