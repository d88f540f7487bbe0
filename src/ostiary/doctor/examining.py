"""The examination: every check is made, whatever became of the others."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

from ostiary.db import Unreachable
from ostiary.doctor.choices import look_at_choices
from ostiary.doctor.connections import look_at_connections
from ostiary.doctor.faults import Finding, Severity, found
from ostiary.doctor.machine import look_at_backups, look_at_disk, look_at_files, look_at_limits
from ostiary.doctor.patient import Patient
from ostiary.doctor.secret import look_at_secret
from ostiary.doctor.serving import look_at_mail, look_at_redis, look_at_server
from ostiary.doctor.storage import look_at_database, look_at_schema, look_at_work

CHECKS: tuple[Callable[[Patient], Awaitable[Iterable[Finding]]], ...] = (
    look_at_choices,
    look_at_files,  # before the database is opened, which closes its file to others
    look_at_secret,
    look_at_disk,
    look_at_backups,
    look_at_limits,
    look_at_database,
    look_at_connections,
    look_at_schema,
    look_at_work,
    look_at_mail,
    look_at_redis,
    look_at_server,
)


async def examine(patient: Patient) -> AsyncIterator[Finding]:
    """Make every check. Nothing is changed or sent, and no check that fails keeps the others from being made."""
    for check in CHECKS:
        try:
            findings = list(await check(patient))
        except Unreachable:
            continue  # look_at_database says it
        except Exception as error:  # noqa: BLE001 - the others are still to be made
            said = (str(error) or "no reason given").splitlines()[0]
            findings = [found("check-failed", f"{check.__name__}: {type(error).__name__}: {said}")]
        for finding in findings:
            yield finding


def exit_code(findings: Iterable[Finding]) -> int:
    """Answer 2 where there is an error, 1 where there is a warning, else 0."""
    severities = {finding.fault.severity for finding in findings}
    return 2 if Severity.ERROR in severities else 1 if Severity.WARNING in severities else 0
