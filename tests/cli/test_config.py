"""`ostiary config` and `ostiary openapi`."""

import json
from pathlib import Path

from ostiary.settings import describe
from tests.cli.command import Installation

SECRET = "rX2k9vQm7Lw4Tz8Bn3Hc6Jd1Fs5Gp0Ya"
HIDDEN = "the-password-of-the-database"


def test_every_setting_is_printed_with_value_origin_default_and_meaning(here: Installation) -> None:
    place = Installation(here.data_dir, environment={"OSTIARY_PORT": "9000"})
    shown = place.run("config", "--json").json
    assert [setting["name"] for setting in shown] == [setting.name for setting in describe()]
    by_name = {setting["name"]: setting for setting in shown}
    assert by_name["port"] == {
        "name": "port",
        "variable": "OSTIARY_PORT",
        "topic": "Listening and addresses",
        "accepts": "a number from 0 to 65535 (0: any free port)",
        "default": "`8000`",
        "meaning": "Port to listen on.",
        "value": "9000",
        "origin": "environment",
    }
    text = place.run("config").out
    for setting in shown:
        assert f"{setting['variable']} = {setting['value']}  ({setting['origin']})" in text
        assert setting["meaning"] in text
    assert not here.data_dir.exists(), "looking makes nothing"


def test_options_show_as_such(here: Installation, tmp_path: Path) -> None:
    shown = here.run("config", "--json", "--data-dir", str(tmp_path / "other")).json
    [data_dir] = [setting for setting in shown if setting["name"] == "data_dir"]
    assert (data_dir["value"], data_dir["origin"]) == (str(tmp_path / "other"), "option")


def test_secrets_are_masked(here: Installation) -> None:
    environment = {
        "OSTIARY_SECRET_KEY": SECRET,
        "OSTIARY_SECRET_KEY_PREVIOUS": SECRET[::-1],
        "OSTIARY_DATABASE_URL": f"postgresql://ostiary:{HIDDEN}@db/ostiary",
        "OSTIARY_DATABASE_OWNER_URL": f"postgresql://owner:{HIDDEN}@db/ostiary",
    }
    place = Installation(here.data_dir, environment=environment)
    for options in ([], ["--json"]):
        shown = place.run("config", *options)
        assert shown.code == 0
        for secret in (SECRET, SECRET[::-1], HIDDEN):
            assert secret not in shown.out + shown.err
        assert "ostiary:********@db" in shown.out


def test_all_mistakes_are_listed_at_once(here: Installation) -> None:
    environment = {"OSTIARY_PORT": "many", "OSTIARY_SIGNUP": "perhaps", "OSTIARY_PROT": "1", "OSTIARY_SECRET_KEY": "x"}
    place = Installation(here.data_dir, environment=environment)
    for command in (["config"], ["serve"], ["user", "list"], ["keys", "rotate"], ["db", "check"], ["openapi"]):
        refused = place.run(*command)
        assert (refused.code, refused.out) == (2, "")
        first, *mistakes = refused.err.splitlines()
        assert first == "ostiary: The settings have 4 mistakes:"
        assert {mistake.split()[0] for mistake in mistakes} == environment.keys()


def test_document_is_printed_or_written(here: Installation, tmp_path: Path) -> None:
    place = Installation(
        here.data_dir,
        environment={"OSTIARY_PUBLIC_URL": "https://accounts.example.com", "OSTIARY_DIRECTORY_VISIBILITY": "self"},
    )
    document = place.run("openapi").json
    assert document["openapi"].startswith("3.1")
    assert "/api/v1/auth/login" in document["paths"]
    file = tmp_path / "openapi.json"
    written = place.run("openapi", "--output", str(file))
    assert (written.code, written.out) == (0, "")
    assert json.loads(file.read_text()) == document
    assert not here.data_dir.exists()
    refused = place.run("openapi", "--output", str(tmp_path / "no" / "such.json"))
    assert refused.code == 3
    assert refused.line.endswith("No such file or directory")
