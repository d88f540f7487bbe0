"""Files, disk and limits of this machine."""

import stat
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ostiary.db.schema import State, standing
from ostiary.doctor.faults import Finding, found
from ostiary.doctor.patient import Patient

FEWEST_FREE_BYTES = 500_000_000
FEWEST_OPEN_FILES = 1024
BACKUP_AGE = timedelta(days=2)
NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "fuse.sshfs", "glusterfs", "fuse.glusterfs", "lustre"}
)


async def look_at_files(patient: Patient) -> Iterable[Finding]:
    """Look at who may read the data directory and what is in it."""
    return list(_open_files(patient.settings.data_dir, patient.settings.sqlite_file))


def _open_files(data_dir: Path, sqlite_file: Path | None) -> Iterator[Finding]:
    if not data_dir.is_dir():
        return
    mode = stat.S_IMODE(data_dir.stat().st_mode)
    if mode & 0o077:
        yield found("data-dir-open", f"{data_dir} has mode {mode:04o}")
    databases = [] if sqlite_file is None else [sqlite_file, *sqlite_file.parent.glob(f"{sqlite_file.name}-*")]
    for path in sorted({*databases, *data_dir.glob("backups/*"), *data_dir.glob("mail/*")}):
        if path.is_file() and (mode := stat.S_IMODE(path.stat().st_mode)) & 0o077:
            yield found("file-open", f"{path} has mode {mode:04o}")


async def look_at_disk(patient: Patient) -> Iterable[Finding]:
    """Look at how much room there is, and what kind of disk it is."""
    data_dir, findings = patient.settings.data_dir, []
    place = next(path for path in (data_dir, *data_dir.parents) if path.exists())
    free = patient.free_bytes(place)
    if free < FEWEST_FREE_BYTES:
        findings.append(found("disk-almost-full", f"{free // 1_000_000} MB are free at {place}"))
    database = patient.settings.sqlite_file
    if database is not None:
        kind = _file_system(database, patient.mounts)
        if kind in NETWORK_FILE_SYSTEMS:
            findings.append(found("data-dir-on-network", f"{database} is on {kind}"))
    return findings


async def look_at_backups(patient: Patient) -> Iterable[Finding]:
    """Look at the age of the last copy."""
    if (await standing(patient.database)).state is State.EMPTY:
        return []
    return list(_about_backups(patient.settings.data_dir / "backups", patient.clock.now()))


def _file_system(path: Path, mounts: Path) -> str:
    """Answer the kind of file system that a path is on; empty where this machine does not tell."""
    if not mounts.exists():
        return ""
    kinds = {}
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        _, where, kind, *_ = [*line.split(" "), "", "", ""]
        kinds[Path(where.replace("\\040", " "))] = kind
    at = path.absolute()
    return next((kinds[parent] for parent in (at, *at.parents) if parent in kinds), "")


def _about_backups(directory: Path, now: datetime) -> Iterator[Finding]:
    copies = [path.stat().st_mtime for path in directory.glob("*") if path.is_file()]
    if not copies:
        yield found("backup-missing-or-old", f"{directory} holds no copy")
    elif now - (newest := datetime.fromtimestamp(max(copies), UTC)) > BACKUP_AGE:
        yield found("backup-missing-or-old", f"the newest copy in {directory} is of {newest:%Y-%m-%d}")


async def look_at_limits(patient: Patient) -> Iterable[Finding]:  # noqa: ARG001 - every check is asked alike
    """Look at what the system lets a process have."""
    try:
        import resource  # noqa: PLC0415 - not on every platform
    except ImportError:
        return []
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= most < FEWEST_OPEN_FILES:
        return [found("few-open-files", f"{most} files may be open (ulimit -n)")]
    return []
