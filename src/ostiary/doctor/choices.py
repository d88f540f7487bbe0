"""What was chosen in the settings, and should not be, or should be known."""

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from ostiary.doctor.faults import Finding, found
from ostiary.doctor.patient import Patient
from ostiary.settings import Settings, SettingsError, is_loopback
from ostiary.settings.mail_url import FILES

WIDEST_PREFIX = {4: 8, 6: 16}
"""A network of proxies that is larger is no network of proxies."""


def judge_mistakes(error: SettingsError) -> Iterable[Finding]:
    """Say what is wrong with settings that cannot be used."""
    for mistake in error.mistakes:
        name = "setting-unknown" if mistake.message.startswith("is not a setting") else "setting-wrong"
        yield found(name, str(mistake))


async def look_at_choices(patient: Patient) -> Iterable[Finding]:
    """Look at settings that are each possible and together unwise."""
    settings = patient.settings
    return [*_about_proxies(settings), *_about_strangers(settings)]


def _about_proxies(settings: Settings) -> Iterator[Finding]:
    url = urlsplit(settings.public_url)
    is_local = is_loopback(url.hostname or "")
    if url.scheme != "https" and not is_local:
        yield found("public-url-not-https", f"public_url is {settings.public_url}")
    for network in settings.trusted_proxies:
        if network.prefixlen < WIDEST_PREFIX[network.version]:
            yield found("trusted-proxies-too-wide", f"trusted_proxies has {network}: {network.num_addresses} addresses")
    if url.scheme == "https" and not settings.trusted_proxies:
        yield found("proxies-not-trusted", "public_url is https, so a proxy is in front, and trusted_proxies is empty")


def _about_strangers(settings: Settings) -> Iterator[Finding]:
    is_local = is_loopback(urlsplit(settings.public_url).hostname or "") and is_loopback(settings.host)
    if not settings.rate_limit:
        yield found("rate-limit-off", "rate_limit is off")
    if is_local:
        return
    if settings.directory_visibility == "members" and settings.signup == "open":
        yield found("members-see-each-other", "signup is open and directory_visibility is members")
    if settings.api_docs:
        yield found("api-docs-public", f"{settings.public_url}/docs")
    if settings.mail_url == FILES:
        yield found("mail-goes-to-files", f"mails are files in {settings.data_dir / 'mail'}")
