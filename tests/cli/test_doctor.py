"""`ostiary doctor`: what it prints, and its exit codes."""

import json

import pytest

from tests.cli.command import Installation
from tests.sessions.beside import rows

pytestmark = pytest.mark.any_engine


def test_worst_comes_first_and_decides_the_exit_code(here: Installation) -> None:
    here.make()
    told = here.run("doctor")
    assert told.code == 1
    assert told.out.startswith("warning: backup-missing-or-old: ")
    rows(here.settings, "UPDATE signing_keys SET revoked_at = 1")
    rows(here.settings, "UPDATE alembic_version SET version_num = '0003'")
    told = here.run("doctor")
    assert told.code == 2
    assert told.out.startswith("error: schema-older: ")
    assert "`ostiary db upgrade --plan`, then `ostiary db upgrade`." in told.out
    assert told.out.index("error: ") < told.out.index("warning: ")


def test_findings_are_json_for_scripts(here: Installation) -> None:
    told = here.run("doctor", "--json")
    assert (told.code, told.err) == (0, "")
    [finding] = json.loads(told.out)
    assert finding["name"], finding["severity"] == ("installation-missing", "note")
    assert finding.keys() == {"name", "severity", "says", "means", "mend"}
    assert not here.data_dir.exists()


def test_mistakes_in_settings_are_findings_too(here: Installation) -> None:
    wrong = Installation(here.data_dir, None, {"OSTIARY_PUBLC_URL": "x", "OSTIARY_PORT": "many"})
    told = wrong.run("doctor")
    assert (told.code, told.err) == (2, "")
    assert (
        "setting-unknown: OSTIARY_PUBLC_URL is not a setting (environment); did you mean OSTIARY_PUBLIC_URL?"
        in told.out
    )
    assert "setting-wrong: OSTIARY_PORT must be" in told.out


@pytest.mark.parametrize("url", ["example.com", "ftp://example.com", "http://"])
def test_url_that_is_none_is_wrong_usage(here: Installation, url: str) -> None:
    assert here.run("doctor", "--url", url).code == 2
