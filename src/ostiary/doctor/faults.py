"""Every fault that the doctor knows: its name, which scripts may rely upon, how bad it is, and how to mend it."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a fault is."""

    ERROR = "error"
    """Something does not work, or is open to strangers."""
    WARNING = "warning"
    """Something works and should not stay so."""
    NOTE = "note"
    """A choice that one should know about."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that can be wrong."""

    name: str
    severity: Severity
    means: str
    mend: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault that was found, and what exactly."""

    fault: Fault
    says: str


_E, _W, _N = Severity.ERROR, Severity.WARNING, Severity.NOTE

FAULTS = {
    fault.name: fault
    for fault in (
        Fault(
            "setting-unknown",
            _E,
            "A variable or key is no setting: what it was meant for is not in force.",
            "Correct its name; `ostiary config` lists all.",
        ),
        Fault("setting-wrong", _E, "A setting has a value that it cannot have.", "Give it one of those named."),
        Fault(
            "check-failed",
            _W,
            "The doctor could not finish a check.",
            "See what it says; report it if it is a bug.",
        ),
        Fault(
            "public-url-not-https",
            _E,
            "Tokens and passwords go over the network in the clear.",
            "Put a proxy with TLS in front, and its https address into OSTIARY_PUBLIC_URL.",
        ),
        Fault(
            "trusted-proxies-too-wide",
            _E,
            "Strangers may say which address they come from, and escape every limit.",
            "Name only your proxies in OSTIARY_TRUSTED_PROXIES.",
        ),
        Fault(
            "proxies-not-trusted",
            _W,
            "Behind a proxy that is not named all callers count as one, and share its limits.",
            "Name your proxy in OSTIARY_TRUSTED_PROXIES.",
        ),
        Fault("rate-limit-off", _W, "Nothing limits how often anybody calls.", "Set OSTIARY_RATE_LIMIT=on."),
        Fault(
            "members-see-each-other",
            _N,
            "Sign-up is open, and every user sees every other's address.",
            "Set OSTIARY_DIRECTORY_VISIBILITY=self unless that is meant.",
        ),
        Fault("api-docs-public", _N, "Strangers can read the API reference.", "Set OSTIARY_API_DOCS=off to hide it."),
        Fault(
            "mail-goes-to-files",
            _W,
            "Mails are written to files, and reach nobody.",
            "Set OSTIARY_MAIL_URL to your mail server.",
        ),
        Fault("mail-server-away", _E, "The mail server takes no mail from us.", "See what it says; check the URL."),
        Fault(
            "mail-waits",
            _W,
            "Mails have been waiting to leave for long.",
            "See whether the server runs, and `mail_postponed` in its log.",
        ),
        Fault(
            "secret-unusable",
            _E,
            "The secret is weak, missing, unreadable, or open to others.",
            "Do what it says; without the right secret nobody's sessions are good.",
        ),
        Fault(
            "secret-of-another-database",
            _E,
            "The database was made with another secret: no server will start on it.",
            "Put back the secret that it was made with, or list that in OSTIARY_SECRET_KEY_PREVIOUS.",
        ),
        Fault("data-dir-open", _W, "Others on this machine may list the data directory.", "chmod 700 the directory."),
        Fault("file-open", _E, "Others on this machine may read what is secret.", "chmod 600 the file."),
        Fault(
            "data-dir-on-network",
            _E,
            "SQLite's locks do not hold on network file systems: data will be lost.",
            "Move the data directory to a local disk, or use PostgreSQL.",
        ),
        Fault("disk-almost-full", _E, "The disk of the data directory is almost full.", "Make room."),
        Fault(
            "backup-missing-or-old",
            _W,
            "There is no recent copy of the database in `backups`.",
            "Make backups regularly; where you keep them elsewhere, this can be left alone.",
        ),
        Fault(
            "few-open-files",
            _W,
            "The system lets a server open few files, and each connection is one.",
            "Raise it: `ulimit -n 65536`, or LimitNOFILE=65536 for systemd.",
        ),
        Fault(
            "database-unreachable",
            _E,
            "The database cannot be used.",
            "See what it says: address, port, password, certificate.",
        ),
        Fault(
            "database-slow",
            _W,
            "Each question to the database takes long, and a request asks several.",
            "Put server and database close together.",
        ),
        Fault("database-too-old", _E, "This PostgreSQL is older than what we test with.", "Upgrade to 14 or later."),
        Fault(
            "database-not-durable",
            _E,
            "PostgreSQL says that something is kept before it is.",
            "Turn fsync and synchronous_commit on.",
        ),
        Fault(
            "owner-not-separate",
            _N,
            "The serving role may change the schema.",
            "Give the owner's URL in OSTIARY_DATABASE_OWNER_URL, and let a lesser role serve.",
        ),
        Fault(
            "few-connections-left",
            _W,
            "PostgreSQL has fewer connections left than a server may open.",
            "Raise max_connections, or put pgbouncer in between.",
        ),
        Fault(
            "installation-missing",
            _N,
            "There is no installation here yet.",
            "`ostiary serve` makes one; or name it.",
        ),
        Fault(
            "schema-older",
            _E,
            "The schema is older than this version needs.",
            "`ostiary db upgrade --plan`, then `ostiary db upgrade`.",
        ),
        Fault("schema-newer", _E, "A newer version made the schema; this one must not touch it.", "Upgrade Ostiary."),
        Fault(
            "clock-differs",
            _W,
            "This machine's clock differs from another's: tokens die early, or live too long.",
            "Let NTP set the clocks of all machines.",
        ),
        Fault(
            "signing-key-missing",
            _E,
            "No key signs access tokens.",
            "Start a server, which makes one; or `ostiary keys rotate`.",
        ),
        Fault(
            "signing-key-overdue",
            _W,
            "The signing key should have been changed by now.",
            "See whether a server runs, and `upkeep_failed` in its log; `ostiary keys rotate` does it by hand.",
        ),
        Fault(
            "audit-not-sealed",
            _W,
            "Rows of the audit log have been waiting for their seal: they could be changed unseen.",
            "See whether a server runs, and `audit` lines in its log.",
        ),
        Fault(
            "redis-away",
            _W,
            "Redis does not count: each server limits by itself, at the same numbers.",
            "See what it says; check OSTIARY_REDIS_URL.",
        ),
        Fault(
            "server-away", _W, "No server answers at the address.", "Start it; see whether proxy and name lead there."
        ),
        Fault(
            "server-not-ready",
            _E,
            "The server is up and cannot serve.",
            "See its log: database or schema is at fault.",
        ),
        Fault(
            "forwarded-for-believed",
            _E,
            "The server believes whatever X-Forwarded-For says, whoever sends it.",
            "Name only your proxies in OSTIARY_TRUSTED_PROXIES, and let them replace or append to the header.",
        ),
    )
}


def found(name: str, says: str) -> Finding:
    """Answer a finding of a fault that is known."""
    return Finding(FAULTS[name], says)
