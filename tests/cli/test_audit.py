"""`ostiary audit list|verify|export`."""

import json
from pathlib import Path

import pytest

from tests.cli.command import Installation
from tests.people import PASSWORD
from tests.sessions.beside import rows


@pytest.mark.rule("LA-3")
def test_verify_says_what_was_done_to_the_log(place: Installation) -> None:
    place.make(is_superuser=True)
    with place.serving() as client:
        client.post("/auth/login", json={"email": "root@example.com", "password": PASSWORD})
    place.make("ann")
    good = place.run("audit", "verify")
    assert (good.code, good.out, good.err) == (0, "", "The audit log is as it was sealed.\n")
    rows(place.settings, "UPDATE audit_log SET details = '{}' WHERE event = ?", "login_succeeded")
    bad = place.run("audit", "verify")
    assert bad.code == 1
    assert bad.out.count("\n") == 1
    assert "login_succeeded" in bad.out
    assert bad.out.endswith(": the row is not as it was sealed\n")
    assert bad.err == "The audit log is not as it was sealed: 1 findings.\n"


@pytest.mark.any_engine
def test_verify_seals_first_and_says_where_checkpoints_would_be(here: Installation) -> None:
    here.make()
    outcome = here.run("audit", "verify")
    assert outcome.code == 0
    assert f"There are no checkpoints ({here.data_dir}/audit-checkpoints.jsonl)" in outcome.err
    assert rows(here.settings, "SELECT count(*) FROM audit_log WHERE place IS NULL") == [(0,)]


@pytest.mark.any_engine
def test_list_shows_the_newest_first_and_narrows(here: Installation) -> None:
    ann = here.make("ann")
    bob = here.make("bob")
    here.run("user", "deactivate", "ann")
    shown = here.run("audit", "list", "--user-id", str(ann), "--json").json
    assert [(item["event"], item["actor"], item["target"]) for item in shown["items"]] == [
        ("user_deactivated", "operator", ann),
        ("user_created", "operator", ann),
    ]
    assert (shown["total"], shown["skip"], shown["limit"]) == (2, 0, 100)
    table = here.run("audit", "list", "--event", "user_created", "--limit", "1")
    assert table.out.splitlines()[0].split() == ["Time", "(UTC)", "Event", "By", "User", "From", "Details"]
    assert f"operator   {bob}" in table.out
    assert table.err == "1 of 2 events; more with --skip 1\n"
    assert here.run("audit", "list", "--until", "2020-01-01", "--json").json["items"] == []
    assert len(here.run("audit", "list", "--since", "2020-01-01T00:00:00", "--json").json["items"]) >= 3
    assert here.run("audit", "list", "--event", "nonsense").code == 2
    assert here.run("audit", "list", "--since", "yesterday").code == 2


@pytest.mark.any_engine
def test_export_writes_everything_in_order(here: Installation, tmp_path: Path) -> None:
    ann = here.make("ann")
    here.run("user", "promote", "ann")
    file = tmp_path / "audit.jsonl"
    outcome = here.run("audit", "export", str(file))
    assert outcome.code == 0
    items = [json.loads(line) for line in file.read_text().splitlines()]
    assert outcome.err == f"{len(items)} events were exported.\n"
    assert [item["event"] for item in items if item["target"] == ann] == ["user_created", "user_promoted"]
    assert [item["id"] for item in items] == sorted(item["id"] for item in items)
    assert file.stat().st_mode & 0o777 == 0o600
    assert "exists already" in here.run("audit", "export", str(file)).line
    assert here.run("audit", "export", "--event", "user_promoted").out.count("\n") == 1


@pytest.mark.any_engine
def test_import_and_keys_are_on_record_as_the_operators(here: Installation, tmp_path: Path) -> None:
    here.make()
    file = tmp_path / "users.jsonl"
    file.write_text('{"email": "cid@example.com", "username": "cid"}\n{"email": "none"}\n')
    here.run("user", "import", str(file))
    kid = here.run("keys", "rotate", "--json").json["kid"]
    here.run("keys", "revoke", kid, "--yes")
    events = {item["event"]: item for item in here.run("audit", "list", "--json").json["items"]}
    assert (events["users_imported"]["details"]["added"], events["users_imported"]["details"]["rejected"]) == (1, 1)
    assert events["signing_key_revoked"]["details"] == {"kid": kid}
    assert {events[name]["actor"] for name in ("users_imported", "signing_key_revoked")} == {"operator"}
