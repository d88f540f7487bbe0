"""`ostiary db upgrade --plan`: what an upgrade would do, and nothing done."""

from pathlib import Path

import pytest

from ostiary.db.schema import HEAD, known_revisions
from tests.cli.command import Installation
from tests.db.test_migrations import everything
from tests.upgrades.freezing import SECRET
from tests.upgrades.test_frozen import load


@pytest.fixture
def old(place: Installation) -> Installation:
    """An installation of a stage long gone."""
    load("performance", place.settings)
    return Installation(place.data_dir, place.database_url, {"OSTIARY_SECRET_KEY": SECRET})


@pytest.mark.rule("ST-3")
def test_plan_names_every_step_and_changes_nothing(old: Installation) -> None:
    before = everything(old.settings)
    told = old.run("db", "upgrade", "--plan")
    assert (told.code, told.err) == (1, "")
    assert f"schema version 0003, older than {HEAD}" in told.out
    for number in known_revisions():
        assert (f"  {number}  " in told.out) is (number > "0003"), number
    assert "  0007  All that is counted against guessing is one row for each account" in told.out
    assert "tables: login_throttles, known_places" in told.out
    assert "servers of before must be stopped first" in told.out
    assert "Stop every server of the version before" in told.out
    assert "waits: whoever writes users, while indexes are built" in told.out
    copy = f"Backup: {old.data_dir / 'backups'} (1 MB)" if old.database_url is None else "take a backup first"
    assert copy in told.out
    assert everything(old.settings) == before
    assert not (old.data_dir / "backups").exists()


def test_plan_is_json_for_scripts(old: Installation) -> None:
    told = old.run("db", "upgrade", "--plan", "--json")
    assert told.code == 1
    plan = told._replace(code=0).json
    assert plan["state"], plan["version"] == ("older", "0003")
    assert (plan["needed"], plan["rolling"]) == (HEAD, False)
    assert [step["version"] for step in plan["steps"]] == known_revisions()[-4::-1]
    first = plan["steps"][0]
    assert first["tables"] == ["audit_log", "audit_chain", "audit_erasures"]
    assert (first["rolling"], first["waits"]) == (False, None)
    assert (plan["copied_bytes"] or 0) > 0 or old.database_url is not None
    assert old.run("db", "upgrade").code == 0
    told = old.run("db", "upgrade", "--plan", "--json")
    assert told.json["steps"] == []


def test_plan_of_nothing_makes_nothing(here: Installation) -> None:
    told = here.run("db", "upgrade", "--plan")
    assert told.code == 1
    assert "empty; " in told.out
    assert "Backup" not in told.out
    assert not Path(here.data_dir).exists()
    made = here.run("db", "upgrade")
    assert made.code == 0
    told = here.run("db", "upgrade", "--plan")
    assert (told.code, told.out.splitlines()[-1]) == (0, "Nothing is to be done.")


def test_json_without_plan_is_wrong_usage(here: Installation) -> None:
    refused = here.run("db", "upgrade", "--json")
    assert refused.code == 2
    assert "--plan" in refused.err
    assert not here.data_dir.exists()
