"""`ostiary doctor`: what is wrong, and how to mend it."""

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from ostiary.cli.options import AsJSON, DatabaseURL, DataDir, load_settings
from ostiary.cli.output import print_json
from ostiary.clock import SystemClock
from ostiary.db import open_database
from ostiary.doctor.choices import judge_mistakes
from ostiary.doctor.examining import examine, exit_code
from ostiary.doctor.faults import Finding, Severity
from ostiary.doctor.patient import Patient
from ostiary.settings import Settings, SettingsError, is_loopback

MOUNTS = Path("/proc/self/mounts")


def doctor(
    as_json: AsJSON = False,
    url: Annotated[
        str | None,
        typer.Option(help="Where a server should answer; without it the public URL, unless that is this machine."),
    ] = None,
    data_dir: DataDir = None,
    database_url: DatabaseURL = None,
) -> None:
    """Say what is wrong with an installation, and how to mend it; nothing is changed or sent.

    Settings, secret, files, disk, database, schema, keys, mail, Redis and a running server are looked at.

    Exit code 0: nothing is wrong, or only notes. 1: warnings. 2: errors. Every fault has a name that stays; the page
    docs/doctor.md lists them.
    """
    if url is not None and (urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname):
        raise typer.BadParameter("must be http://host or https://host", param_hint="--url")
    try:
        settings = load_settings(data_dir=data_dir, database_url=database_url)
    except SettingsError as error:
        findings = list(judge_mistakes(error))
    else:
        findings = asyncio.run(_examine(settings, url))
    _tell(findings, as_json=as_json)
    raise typer.Exit(exit_code(findings))


async def _examine(settings: Settings, url: str | None) -> list[Finding]:
    if url is None and not is_loopback(urlsplit(settings.public_url).hostname or ""):
        url = settings.public_url
    database = open_database(settings)
    patient = Patient(settings, database, SystemClock(), url, lambda path: shutil.disk_usage(path).free, MOUNTS)
    try:
        return [finding async for finding in examine(patient)]
    finally:
        await database.close()


def _tell(findings: Sequence[Finding], *, as_json: bool) -> None:
    """Say what was found, the worst first."""
    order = list(Severity)
    worst_first = sorted(findings, key=lambda finding: order.index(finding.fault.severity))
    if as_json:
        print_json([_as_json(finding) for finding in worst_first])
    else:
        for finding in worst_first:
            fault = finding.fault
            typer.echo(f"{fault.severity}: {fault.name}: {finding.says}\n    {fault.means}\n    {fault.mend}")
        if not findings:
            typer.echo("Nothing is wrong.")


def _as_json(finding: Finding) -> dict[str, str]:
    fault = finding.fault
    return {
        "name": fault.name,
        "severity": fault.severity.value,
        "says": finding.says,
        "means": fault.means,
        "mend": fault.mend,
    }
