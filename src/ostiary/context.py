"""The App: what lives as long as the process. Slices take it; `app.py` alone builds one."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ostiary.api_keys.format import PresentedKey
    from ostiary.audit.refusals import Refusals
    from ostiary.audit.sealing.chain import SealingKeys
    from ostiary.clock import Clock
    from ostiary.counters import Counters
    from ostiary.crypto.breached import BreachedPasswords
    from ostiary.crypto.passwords import PasswordHasher
    from ostiary.crypto.sealed import Sealer
    from ostiary.crypto.secret import Secret
    from ostiary.db import Database
    from ostiary.db.coalescer import Coalescer
    from ostiary.db.leases import Lease
    from ostiary.health.checks import DatabaseCheck, Departure
    from ostiary.keys.ring import KeyRing
    from ostiary.login.attempts import Attempts
    from ostiary.mail.limits import MailLimits
    from ostiary.metrics.figures import Metrics
    from ostiary.sessions.access import LastUses
    from ostiary.sessions.gate import Demands
    from ostiary.sessions.refresh import Rotation
    from ostiary.sessions.rotation import Lifetimes, Presented
    from ostiary.sessions.tokens import AccessClaims, Tokens
    from ostiary.settings import Settings
    from ostiary.users.listing import Page, PageWanted, Wanted
    from ostiary.users.models import User
    from ostiary.web.caller import Caller
    from ostiary.web.cursors import Cursors


@dataclass(frozen=True)
class App:
    """Everything that a handler or a flow may need. No part of it is replaced while the process lives."""

    settings: "Settings"
    clock: "Clock"
    metrics: "Metrics"
    db: "Database"
    database_check: "DatabaseCheck"
    departure: "Departure"
    secret: "Secret"
    sealer: "Sealer"
    ring: "KeyRing"
    hasher: "PasswordHasher"
    breached: "BreachedPasswords | None"
    tokens: "Tokens"
    lifetimes: "Lifetimes"
    demands: "Demands"
    attempts: "Attempts"
    last_uses: "LastUses"
    key_uses: "LastUses"
    counters: "Counters"
    mail_limits: "MailLimits"
    lookup_hash: "Callable[[str], str]"
    """Keyed hash under which something that must not be stored in plain can be found again."""
    cursors: "Cursors"
    audit_keys: "SealingKeys"
    refusals: "Refusals"
    upkeep_lease: "Lease"
    """Who has it does what several servers of one database need do once only."""

    # Hot reads and writes, many callers in one statement.
    callers: "Coalescer[AccessClaims, Caller]"
    key_callers: "Coalescer[PresentedKey, Caller]"
    rotations: "Coalescer[Presented, Rotation]"
    user_reads: "Coalescer[Wanted, User]"
    user_pages: "Coalescer[PageWanted, Page]"
