"""The `ostiary` command itself: its help, its version, and its surroundings when they are not as they must be."""

import re
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from ostiary.cli.main import COMMANDS, cli
from tests.cli.command import Installation
from tests.server import clean_environment

ROOT = Path(__file__).parents[2]


def test_package_runs_as_a_module(tmp_path: Path) -> None:
    """The one slow way, as a shell does it; with exit code, one line and no traceback."""
    command = [sys.executable, "-m", "ostiary", "user", "list", "--data-dir", str(tmp_path / "data")]
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, env=clean_environment(), cwd=tmp_path, timeout=60
    )
    assert (ended.returncode, ended.stdout) == (3, "")
    assert re.fullmatch(r"ostiary: there is no installation yet: .*\n", ended.stderr)


def test_help_is_light() -> None:
    code = (
        "import sys; from ostiary.cli.main import cli\n"
        "try: cli(['--help'])\n"
        "finally: print({'fastapi', 'sqlalchemy', 'pydantic', 'uvicorn', 'asyncpg'} & set(sys.modules))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    for name in COMMANDS:
        assert f" {name} " in output
    assert output.rstrip().endswith("set()")


def test_commands_on_sqlite_need_no_server_and_no_other_driver(here: Installation) -> None:
    here.make()
    code = (
        "import sys; from ostiary.cli.main import cli\n"
        "try: cli(['user', 'list'])\n"
        "finally: print({'fastapi', 'uvicorn', 'asyncpg', 'sqlalchemy.orm'} & set(sys.modules))"
    )
    environment = clean_environment() | {"OSTIARY_DATA_DIR": str(here.data_dir)}
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment, timeout=60
    ).stdout
    assert output.rstrip().endswith("set()")


def test_version_is_the_package_s(here: Installation) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert here.run("--version").out == f"ostiary {version}\n"


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS), ["user", "create"], ["db", "check"]])
def test_every_command_has_help(here: Installation, command: list[str]) -> None:
    for option in ("--help", "-h"):
        shown = here.run(*command, option)
        assert (shown.code, shown.err) == (0, "")
        assert f"Usage: ostiary {' '.join(command)}".rstrip() in shown.out


@pytest.mark.parametrize("name", COMMANDS)
def test_line_in_the_help_begins_the_command_s_own(name: str) -> None:
    group = get_command(cli)
    with group.make_context("ostiary", [name, "--help"], resilient_parsing=True) as context:
        _, command, _ = group.resolve_command(context, [name])  # type: ignore[attr-defined]
    assert command.help.startswith(COMMANDS[name].rstrip("."))


@pytest.mark.parametrize("command", [["no-such"], ["user", "no-such"], ["serve", "--no-such"], ["user", "show"]])
def test_wrong_usage_has_its_own_exit_code(here: Installation, command: list[str]) -> None:
    refused = here.run(*command)
    assert (refused.code, refused.out) == (2, "")
    assert "Traceback" not in refused.err


def test_taken_port_is_one_line(here: Installation) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused = here.run("serve", "--port", str(port))
    assert refused.code == 3
    assert refused.line == (
        f"cannot listen on 127.0.0.1 port {port}: Address already in use; "
        "choose another with --port or OSTIARY_PORT, --host or OSTIARY_HOST"
    )
    assert not here.data_dir.exists()


def test_address_of_somebody_else_is_one_line(here: Installation) -> None:
    place = Installation(here.data_dir, environment={"OSTIARY_DIRECTORY_VISIBILITY": "self"})
    for host in ("192.0.2.1", "no-such-host.invalid"):
        refused = place.run("serve", "--port", "0", "--host", host)
        assert refused.code == 3
        assert refused.line.startswith(f"cannot listen on {host} port 0: ")


def test_file_in_place_of_the_data_directory_is_one_line(here: Installation) -> None:
    here.data_dir.write_text("")
    for place in (here, Installation(here.data_dir / "below")):
        refused = place.run("serve", "--port", "0")
        assert refused.code == 3
        assert refused.line == f"{place.data_dir}: a file stands where a directory is needed"


def test_data_directory_that_cannot_be_written_is_one_line(here: Installation) -> None:
    here.data_dir.mkdir(mode=0o555)
    for directory in (here.data_dir, here.data_dir / "below"):
        refused = Installation(directory).run("serve", "--port", "0", is_nobody=True)
        assert refused.code == 3
        assert str(here.data_dir) in refused.line
        assert "Permission denied" in refused.line


def test_bug_keeps_its_traceback(here: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("ostiary.cli.main.cli", fail)
    from ostiary.cli.main import main  # noqa: PLC0415 - as it is just now

    with pytest.raises(ZeroDivisionError):
        main()
    assert not here.data_dir.exists()


@pytest.mark.rule("PW-3")
@pytest.mark.parametrize("content", [None, "password\n" * 10], ids=["missing", "no list of hashes"])
@pytest.mark.parametrize("command", [("serve",), ("config",), ("user", "list")], ids=" ".join)
def test_a_bad_file_of_breached_passwords_is_one_mistake_among_all(
    here: Installation, tmp_path: Path, command: tuple[str, ...], content: str | None
) -> None:
    file = tmp_path / "breached.txt"
    if content is not None:
        file.write_text(content)
    wrong = {"OSTIARY_BREACHED_PASSWORDS_FILE": str(file), "OSTIARY_LOG_LEVEL": "loud"}
    ended = Installation(here.data_dir, environment=wrong).run(*command)
    assert (ended.code, ended.out) == (2, "")
    assert "2 mistakes" in ended.err
    assert all(variable in ended.err for variable in wrong)
    assert str(file) in ended.err
    assert not here.data_dir.exists(), "nothing is begun with settings that are wrong"


@pytest.mark.rule("PW-3")
def test_commands_go_on_with_a_good_file_of_breached_passwords(here: Installation, tmp_path: Path) -> None:
    file = tmp_path / "breached.txt"
    file.write_text(f"{'A' * 40}:1\n{'B' * 40}:2\n")
    place = Installation(here.data_dir, environment={"OSTIARY_BREACHED_PASSWORDS_FILE": str(file)})
    assert f"OSTIARY_BREACHED_PASSWORDS_FILE = {file}" in place.run("config").out
    assert place.run("user", "list").code == 3, "there is no installation yet"
