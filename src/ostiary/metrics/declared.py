"""Every metric: its name by Prometheus' conventions, its kind, what it tells, and its labels."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["counter", "gauge", "histogram", "summary"]


@dataclass(frozen=True, eq=False, slots=True)
class Metric:
    """One metric. Whoever adds one names it here and appends it to its topic below."""

    name: str
    """As it is asked for in PromQL; that of a counter ends in `_total`."""
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    """What its one label may be, where that is known: each begins at nought, or its first increase would not show."""


REQUESTS = Metric("ostiary_http_requests_total", "counter", "Requests answered.", ("method", "route", "status"))
REQUEST_SECONDS = Metric(
    "ostiary_http_request_duration_seconds",
    "histogram",
    "How long requests took, from their head until the answer was handed over.",
    ("method", "route"),
)
UNHANDLED = Metric(
    "ostiary_unhandled_errors_total", "counter", "Requests in which something went wrong that nobody foresaw: bugs."
)
IN_FLIGHT = Metric("ostiary_http_requests_in_flight", "gauge", "Requests being answered at this moment.")
REFUSALS = Metric(
    "ostiary_http_refusals_total",
    "counter",
    "Requests refused, by the kind of refusal: a name from the code, such as `RateLimited` or `InvalidCredentials`.",
    ("problem",),
)

CLIENTS = Metric("ostiary_connections", "gauge", "Connections that clients have open.")
MOST_CLIENTS = Metric(
    "ostiary_connections_max", "gauge", "Connections that clients may have open; one more is told 503."
)
DROPPED = Metric("ostiary_readers_dropped_total", "counter", "Connections cut off because nobody took the answer.")

LOGINS = Metric(
    "ostiary_logins_total",
    "counter",
    "Logins that were decided: `success`, or why not (`gone`: the account ended or was barred meanwhile).",
    ("result",),
    ("success", "wrong_password", "unknown_address", "throttled", "deactivated", "unverified", "gone"),
)
SIGNUPS = Metric("ostiary_signups_total", "counter", "Accounts that people made for themselves.")
REFRESHES = Metric(
    "ostiary_token_refreshes_total",
    "counter",
    "Refresh tokens presented: `rotated`; `replayed`, which ended the session; or `refused` for any other reason.",
    ("result",),
    ("rotated", "replayed", "refused"),
)
USERS = Metric("ostiary_users", "gauge", "Users there are.")

HASHING_THREADS = Metric("ostiary_hashing_threads", "gauge", "Threads that do each kind of work.", ("work",))
HASHING_WAITING = Metric(
    "ostiary_hashing_waiting",
    "gauge",
    "Pieces of work that have a place in the queue: passwords to `verify`, to `hash`, or to `judge`.",
    ("work",),
)
HASHING_WAIT = Metric("ostiary_hashing_wait_seconds", "summary", "How long such work waited for a thread.", ("work",))
HASHING_TIME = Metric("ostiary_hashing_duration_seconds", "summary", "How long such work took.", ("work",))
HASHING_REFUSED = Metric(
    "ostiary_hashing_refused_total", "counter", "Such work refused because the queue was full.", ("work",)
)

DATABASE_UP = Metric("ostiary_database_up", "gauge", "1 while the database answers, else 0.")
DATABASE_INFO = Metric(
    "ostiary_schema_info",
    "gauge",
    "Always 1: the schema's revision as it is, and as this version needs it.",
    ("revision", "needed"),
)
CONNECTIONS_MOST = Metric("ostiary_database_connections_max", "gauge", "Connections there may be (SQLite: readers).")
CONNECTIONS_USED = Metric("ostiary_database_connections_in_use", "gauge", "Connections in use (SQLite: readers).")
DATABASE_WAITING = Metric("ostiary_database_waiting", "gauge", "Reads and writes that wait for a connection.")
WRITES_WAITING = Metric("ostiary_database_writes_waiting", "gauge", "Writes that wait for the writer. SQLite only.")
COMMITS = Metric("ostiary_database_commits_total", "counter", "Commits of the writer, each for many. SQLite only.")
COMMITTED = Metric("ostiary_database_committed_writes_total", "counter", "Writes in those commits. SQLite only.")
DATABASE_RETRIES = Metric(
    "ostiary_database_retries_total", "counter", "Transactions tried again, as PostgreSQL asks for under contention."
)
DATABASE_FAILURES = Metric(
    "ostiary_database_failures_total", "counter", "Reads and writes given up because the database did not do them."
)
DATABASE_BYTES = Metric("ostiary_database_size_bytes", "gauge", "Size of the SQLite file and its log. SQLite only.")
FREE_BYTES = Metric("ostiary_data_directory_free_bytes", "gauge", "Free space where the data directory is.")
BATCHES = Metric("ostiary_batches_total", "counter", "Batches in which hot reads and writes were done.", ("of",))
BATCHED = Metric("ostiary_batched_items_total", "counter", "Reads and writes in those batches.", ("of",))

STORE_UP = Metric(
    "ostiary_limit_store_up",
    "gauge",
    "1 while the store answers that request limits are counted in, else 0: then this server limits by itself.",
    ("store",),
)
STORE_OUTAGES = Metric("ostiary_limit_store_outages_total", "counter", "How often that store went away.")
COUNTED_ALONE = Metric(
    "ostiary_limit_store_missed_total", "counter", "Requests that were counted here alone, for want of that store."
)

MAILS = Metric(
    "ostiary_mails_total",
    "counter",
    "What became of mails: `delivered`, `postponed` to be tried again, or `given_up`.",
    ("outcome",),
    ("delivered", "postponed", "given_up"),
)
OUTBOX_MAILS = Metric("ostiary_outbox_mails", "gauge", "Mails that have not left yet.")
OUTBOX_AGE = Metric("ostiary_outbox_oldest_age_seconds", "gauge", "How long the oldest of them has waited; 0 for none.")

UNSEALED_ROWS = Metric("ostiary_audit_unsealed_rows", "gauge", "Rows of the audit log that have no place in it yet.")
SEAL_LAG = Metric("ostiary_audit_seal_lag_seconds", "gauge", "How long the oldest of them has waited; 0 for none.")

KEY_SINCE = Metric(
    "ostiary_signing_key_activated_timestamp_seconds", "gauge", "Since when the key signs that signs tokens now."
)
KEY_DUE = Metric(
    "ostiary_signing_key_due_timestamp_seconds", "gauge", "When the next signing key is to be made and published."
)

JOB_RUNS = Metric(
    "ostiary_job_runs_total",
    "counter",
    "Rounds of the work that the server does by itself: `done`, `postponed` with the database away, or `failed`.",
    ("name", "result"),
)
JOB_SUCCESS = Metric(
    "ostiary_job_last_success_timestamp_seconds",
    "gauge",
    "When such work last went well, or was first tried.",
    ("name",),
)
JOB_TIME = Metric("ostiary_job_duration_seconds", "summary", "How long its rounds took.", ("name",))

BUILD = Metric(
    "ostiary_build_info",
    "gauge",
    "Always 1: the version, Python's, and the database.",
    ("version", "python", "database"),
)
CPU_SECONDS = Metric("process_cpu_seconds_total", "counter", "Processor time used, by user and system.")
RESIDENT = Metric("process_resident_memory_bytes", "gauge", "Memory held.")
VIRTUAL = Metric("process_virtual_memory_bytes", "gauge", "Memory asked for.")
STARTED = Metric("process_start_time_seconds", "gauge", "When the process started.")
OPEN_FILES = Metric("process_open_fds", "gauge", "Files and connections open.")
MOST_FILES = Metric("process_max_fds", "gauge", "Files and connections that may be open.")

TOPICS: dict[str, tuple[Metric, ...]] = {
    "Requests": (REQUESTS, REQUEST_SECONDS, IN_FLIGHT, REFUSALS, UNHANDLED),
    "Connections": (CLIENTS, MOST_CLIENTS, DROPPED),
    "Accounts": (LOGINS, SIGNUPS, REFRESHES, USERS),
    "Passwords": (HASHING_THREADS, HASHING_WAITING, HASHING_WAIT, HASHING_TIME, HASHING_REFUSED),
    "The database": (
        DATABASE_UP,
        DATABASE_INFO,
        CONNECTIONS_MOST,
        CONNECTIONS_USED,
        DATABASE_WAITING,
        WRITES_WAITING,
        COMMITS,
        COMMITTED,
        DATABASE_RETRIES,
        DATABASE_FAILURES,
        DATABASE_BYTES,
        FREE_BYTES,
        BATCHES,
        BATCHED,
    ),
    "Request limits": (STORE_UP, STORE_OUTAGES, COUNTED_ALONE),
    "Mail": (MAILS, OUTBOX_MAILS, OUTBOX_AGE),
    "The audit log": (UNSEALED_ROWS, SEAL_LAG),
    "Signing keys": (KEY_SINCE, KEY_DUE),
    "Work in the background": (JOB_RUNS, JOB_SUCCESS, JOB_TIME),
    "The process": (BUILD, CPU_SECONDS, RESIDENT, VIRTUAL, STARTED, OPEN_FILES, MOST_FILES),
}
"""All of them, as the documentation shows them."""
