"""The installation's secret: whether it can be used, and whether the database was made with it."""

from collections.abc import Iterable

from sqlalchemy import Connection, select

from ostiary.crypto.secret import Secret, SecretError, load_or_create
from ostiary.db.schema import standing
from ostiary.doctor.faults import Finding, found
from ostiary.doctor.patient import Patient
from ostiary.keys.models import installation
from ostiary.settings import Settings


async def look_at_secret(patient: Patient) -> Iterable[Finding]:
    """Look at the secret itself, and then whether it fits. No secret is made."""
    settings = patient.settings
    try:
        secret = _read(settings)
    except SecretError as error:
        return [found("secret-unusable", str(error))]
    if not (await standing(patient.database)).is_usable:
        return []
    bound_to = await patient.database.read(_bound_to)
    if bound_to is None:
        return []
    if secret is None:
        return [found("secret-unusable", f"{settings.secret_key_file} is missing, and the database was made with one")]
    if bound_to not in secret.fingerprints:
        return [found("secret-of-another-database", f"{patient.database.place} was made with another secret")]
    return []


def _read(settings: Settings) -> Secret | None:
    """Answer the secret; None where there is none yet. Raises SecretError."""
    previous = [key.get_secret_value().encode() for key in settings.secret_key_previous]
    if settings.secret_key is not None:
        return Secret(settings.secret_key.get_secret_value().encode(), previous)
    if not settings.secret_key_file.exists():
        return None
    return Secret(load_or_create(settings.secret_key_file), previous)


def _bound_to(connection: Connection) -> str | None:
    return connection.execute(select(installation.c.secret_fingerprint)).scalar()
