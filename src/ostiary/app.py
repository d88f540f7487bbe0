"""The composition root: builds everything once and mounts every slice."""

import hashlib
import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog
from fastapi import FastAPI
from starlette.types import ASGIApp

from ostiary.accounts import routes as accounts_routes
from ostiary.administration import routes as administration_routes
from ostiary.api_keys import routes as api_keys_routes
from ostiary.api_keys import service_routes
from ostiary.api_keys.format import PREFIX, read_key
from ostiary.api_keys.recognition import identify_by_key
from ostiary.audit import routes as audit_routes
from ostiary.audit.refusals import Refusals
from ostiary.audit.sealing.chain import SealingKeys
from ostiary.audit.worker import AuditWorker
from ostiary.clock import Clock, SystemClock
from ostiary.context import App
from ostiary.counters import Counters, open_store
from ostiary.crypto.breached import BreachedPasswords
from ostiary.crypto.passwords import PasswordHasher
from ostiary.crypto.sealed import Sealer
from ostiary.crypto.secret import Secret, load_or_create
from ostiary.db import Misconfigured, open_database
from ostiary.db.coalescer import Coalescer
from ostiary.db.leases import Lease
from ostiary.db.schema import check_durability, upgrade_schema
from ostiary.edge.cors import CORS
from ostiary.edge.headers import SecurityHeaders
from ostiary.edge.limits import RequestLimit
from ostiary.edge.pipeline import Edge
from ostiary.health import routes as health_routes
from ostiary.health.checks import DatabaseCheck, Departure
from ostiary.keys import routes as keys_routes
from ostiary.keys.flows import hold_to_secret
from ostiary.keys.ring import KeyRing
from ostiary.login import routes as login_routes
from ostiary.login.attempts import Attempts
from ostiary.mail.limits import MailLimits
from ostiary.mail.worker import EVERY_SECONDS as MAIL_EVERY_SECONDS
from ostiary.mail.worker import MailWorker
from ostiary.metrics.figures import Metrics
from ostiary.monitoring.places import MetricsPlace
from ostiary.reference.routes import reference_endpoints
from ostiary.roles import routes as roles_routes
from ostiary.sessions import routes as sessions_routes
from ostiary.sessions.access import LastUses, identify
from ostiary.sessions.gate import Demands
from ostiary.sessions.refresh import rotate
from ostiary.sessions.rotation import Lifetimes
from ostiary.sessions.tokens import Tokens
from ostiary.settings import Settings, is_loopback
from ostiary.settings.mail_url import FILES
from ostiary.tracing.switch import Tracing
from ostiary.upkeep import EVERY_SECONDS, UPKEEP, Upkeep, let_go, renew_keys
from ostiary.users import routes as users_routes
from ostiary.users.listing import list_pages, read_users
from ostiary.verification import routes as verification_routes
from ostiary.verification.pages.routes import page_endpoints
from ostiary.verification.worker import AskedMails
from ostiary.web.application import Application
from ostiary.web.caller import Caller
from ostiary.web.cursors import Cursors
from ostiary.web.endpoint import Endpoint

if TYPE_CHECKING:
    from ostiary.mail.outgoing import Outgoing

log = structlog.get_logger(__name__)

ENDPOINTS = (
    *health_routes.ENDPOINTS,
    *login_routes.ENDPOINTS,
    *accounts_routes.ENDPOINTS,  # before users': "me" is no user_id
    *sessions_routes.ENDPOINTS,
    *users_routes.ENDPOINTS,
    *roles_routes.ENDPOINTS,
    *administration_routes.ENDPOINTS,
    *api_keys_routes.ENDPOINTS,
    *service_routes.ENDPOINTS,
    *keys_routes.ENDPOINTS,
    *audit_routes.ENDPOINTS,
    *verification_routes.ENDPOINTS,
)


def build(settings: Settings, *, clock: Clock | None = None) -> App:
    """Build an App. Nothing is connected yet; the data directory and the secret are made where they are missing.

    Raises Misconfigured, SecretError, BreachedFileError or OSError, each with a line for the operator.
    """
    clock = clock or SystemClock()
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    secret = read_secret(settings)
    db = open_database(settings)
    sealer = Sealer(secret, "sealing")
    ring = KeyRing(db, sealer, clock)
    tokens, lifetimes = _tokens(settings, secret, ring), _lifetimes(settings)
    demands = Demands(proven_address=settings.require_verified_email)
    last_uses, key_uses = LastUses(), LastUses()
    lookup_hash, counters = _lookup_hash(secret), Counters(clock, open_store(settings, db))
    return App(
        settings=settings,
        clock=clock,
        metrics=Metrics(clock),
        db=db,
        database_check=DatabaseCheck(db, clock),
        departure=Departure(),
        secret=secret,
        sealer=sealer,
        ring=ring,
        hasher=_hasher(settings, secret),
        breached=_breached(settings),
        tokens=tokens,
        lifetimes=lifetimes,
        demands=demands,
        attempts=Attempts(),
        last_uses=last_uses,
        key_uses=key_uses,
        counters=counters,
        mail_limits=_mail_limits(settings, counters, lookup_hash),
        lookup_hash=lookup_hash,
        cursors=Cursors(secret.derive_all("cursor")),
        audit_keys=SealingKeys(secret),
        refusals=Refusals(),
        upkeep_lease=Lease(db, clock, UPKEEP),
        callers=Coalescer(lambda batch: identify(db, batch, demands=demands, now=clock.now(), last_uses=last_uses)),
        key_callers=Coalescer(
            lambda batch: identify_by_key(db, batch, demands=demands, now=clock.now(), last_uses=key_uses)
        ),
        rotations=Coalescer(
            lambda batch: db.write(rotate, batch, tokens=tokens, lifetimes=lifetimes, demands=demands, now=clock.now())
        ),
        user_reads=Coalescer(lambda batch: read_users(db, batch)),
        user_pages=Coalescer(lambda batch: db.read(list_pages, batch)),
    )


def _breached(settings: Settings) -> BreachedPasswords | None:
    file = settings.breached_passwords_file
    return None if file is None else BreachedPasswords(file)


def _tokens(settings: Settings, secret: Secret, ring: KeyRing) -> Tokens:
    return Tokens(
        secret=secret,
        ring=ring,
        issuer=settings.public_url,
        audience=settings.token_audience,
        access_lifetime_seconds=int(settings.access_token_lifetime.total_seconds()),
    )


def _lifetimes(settings: Settings) -> Lifetimes:
    return Lifetimes(
        access=settings.access_token_lifetime,
        refresh_idle=settings.refresh_token_idle,
        refresh_absolute=settings.refresh_token_lifetime,
        replay_window=settings.refresh_replay_window,
    )


def read_secret(settings: Settings) -> Secret:
    """Answer the installation's secret; its file is made where neither it nor the setting exists."""
    if settings.secret_key is not None:
        current = settings.secret_key.get_secret_value().encode()
    else:
        _refuse_lost_secret(settings)
        current = load_or_create(settings.secret_key_file)
    return Secret(current, [key.get_secret_value().encode() for key in settings.secret_key_previous])


def known_secret(settings: Settings) -> Secret:
    """Answer the secret of an installation that is somewhere already; none is made. Raises Misconfigured."""
    if settings.secret_key is None and not settings.secret_key_file.exists():
        raise Misconfigured(
            f"{settings.secret_key_file} is missing: put the secret of the installation there, or give it in "
            "OSTIARY_SECRET_KEY"
        )
    return read_secret(settings)


def _refuse_lost_secret(settings: Settings) -> None:
    """Refuse to make a new secret beside a database that was made with another."""
    database = settings.sqlite_file
    if database is not None and database.exists() and not settings.secret_key_file.exists():
        raise Misconfigured(
            f"{settings.secret_key_file} is missing: put back the one that {database} was made with, "
            "or give it in OSTIARY_SECRET_KEY"
        )


def _hasher(settings: Settings, secret: Secret) -> PasswordHasher:
    """Answer the hasher. Every pepper that may lie under a stored hash is known, whether new ones get one or not."""
    peppers = dict(zip(secret.fingerprints, secret.derive_all("pepper"), strict=True))
    current = secret.fingerprint if settings.password_pepper else None
    return PasswordHasher(peppers=peppers, current_pepper=current, processes=settings.workers)


def _mail_limits(settings: Settings, counters: Counters, lookup_hash: Callable[[str], str]) -> MailLimits:
    per_address, per_source = settings.mail_limit_per_address, settings.mail_limit_per_source
    return MailLimits(per_address, per_source, counters=counters, lookup_hash=lookup_hash)


def _lookup_hash(secret: Secret) -> Callable[[str], str]:
    key = secret.derive("lookup")

    def lookup_hash(value: str) -> str:
        return hmac.new(key, value.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()

    return lookup_hash


async def start(app: App) -> None:
    """Make the database ready: schema, and the bond with the secret. Quiet and quick the second time.

    Raises Misconfigured or Unreachable.
    """
    await app.db.read(check_durability)
    await upgrade_schema(app.db, app.settings, now=app.clock.now())
    await app.db.write(hold_to_secret, app.secret, app.sealer, now=app.clock.now())


async def stop(app: App) -> None:
    """Let go of threads and connections, once nothing is asked any more."""
    app.hasher.close()
    if app.breached is not None:
        app.breached.close()
    await app.db.close()


def create_app(
    settings: Settings,
    *,
    clock: Clock | None = None,
    upkeep_every_seconds: float = EVERY_SECONDS,
    mail_every_seconds: float = MAIL_EVERY_SECONDS,
) -> FastAPI:
    """Answer the ASGI application of one installation. Two of them, with different settings, live in one process.

    Its lifespan starts and stops what it needs. Raises what `build` does.
    """
    if settings.mail_templates_dir is not None:
        _outgoing(settings).check()
    tracing, plain = Tracing(settings), build(settings, clock=clock)
    app = tracing.app(plain)
    upkeep = Upkeep(app, every_seconds=upkeep_every_seconds)
    asked_mails = AskedMails(app, every_seconds=mail_every_seconds)
    load, every = partial(_outgoing, settings), mail_every_seconds
    mail = MailWorker(app.db, app.sealer, app.clock, load, app.metrics, every_seconds=every, span=tracing.span)
    audit = AuditWorker(
        app.db, app.audit_keys, app.refusals, app.upkeep_lease, app.clock, settings.data_dir, app.metrics.jobs
    )
    metrics = MetricsPlace(app)
    parts = (metrics, asked_mails, mail, upkeep, audit, tracing)  # the last two take up what the others have done

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await start(plain)
        await renew_keys(app)
        await app.counters.start()  # of servers alone: a command that joined would end a server's being alone
        await app.upkeep_lease.hold()
        for part in parts:
            part.start()
        _warn_of_files(settings)
        try:
            yield
        finally:
            for part in parts:
                await part.stop()
            await let_go(app)
            await app.counters.stop()
            await stop(plain)

    endpoints: tuple[Endpoint, ...] = (*ENDPOINTS, *page_endpoints(), *metrics.endpoints)
    if settings.api_docs:
        endpoints += reference_endpoints(ENDPOINTS, public_url=settings.public_url)
    application = Application(endpoints, edge=lambda inner: _edge(inner, app, endpoints, tracing), lifespan=lifespan)
    application.state.ostiary, application.state.metrics, application.state.tracing = app, metrics, tracing
    return application


def _warn_of_files(settings: Settings) -> None:
    """Tell the operator of a service that others reach if its mail reaches nobody."""
    if settings.mail_url == FILES and not is_loopback(urlsplit(settings.public_url).hostname or ""):
        log.warning("mail_goes_to_files", hint="name a mail server in OSTIARY_MAIL_URL")


def _outgoing(settings: Settings) -> "Outgoing":
    from ostiary.mail.outgoing import Outgoing  # noqa: PLC0415 - takes time to load, and a start can do without

    return Outgoing(settings)


def _edge(inner: ASGIApp, app: App, endpoints: tuple[Endpoint, ...], tracing: Tracing) -> Edge:
    """Put the HTTP edge around everything."""
    settings, clock = app.settings, app.clock
    per_address = per_user = None
    if settings.rate_limit:
        per_address = RequestLimit("address", settings.rate_limit_per_address, app.counters)
        per_user = RequestLimit("user", settings.rate_limit_per_user, app.counters)

    async def identify_caller(token: str) -> Caller:
        if token.startswith(PREFIX):  # no access token does: those begin with an encoded brace
            return await app.key_callers(read_key(token))
        return await app.callers(await app.tokens.read_access(token, now=clock.now()))

    return tracing.edge(
        inner,
        endpoints=endpoints,
        identify=identify_caller,
        clock=clock,
        headers=SecurityHeaders(https=settings.public_url.startswith("https:")),
        per_address=per_address,
        per_user=per_user,
        trusted=settings.trusted_proxies,
        cors=CORS(origins=settings.cors_origins) if settings.cors_origins else None,
        access_log=settings.access_log,
        refused=lambda scope, problem: app.refusals.note(scope, problem, now=clock.now()),
        figures=app.metrics.requests if settings.has_metrics else None,
    )
