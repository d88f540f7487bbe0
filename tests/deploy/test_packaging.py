"""What `deploy/` ships is as far right as can be seen without Docker and without systemd as the first process."""

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tools.bootstrap import uv_of_our_own

from ostiary.settings import Settings
from ostiary.settings.sources import variable
from tests.parts.debian import installed
from tests.server import clean_environment

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").iterdir())
DOCKERFILE = DEPLOY / "docker/Dockerfile"
KUBERNETES = DEPLOY / "kubernetes/ostiary.yaml"
COMPOSE = DEPLOY / "docker/compose.yaml"

MOST_EXPOSED = 15
"""Tenths, as `systemd-analyze security` counts: 100 is a service without any bound, a usual one has 90 and more."""
NOBODY = 65534
DENY_NEW_CODE = """\
import ctypes, os, sys
ctypes.CDLL(None).prctl(65, 1, 0, 0, 0)  # PR_SET_MDWE, what MemoryDenyWriteExecute means; older kernels do not know it
os.execv(sys.argv[1], sys.argv[1:])
"""

pytestmark = pytest.mark.any_engine


def run(*command: str, **options: Any) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return f"{done.stdout}{done.stderr}"


# Names


def test_every_setting_that_is_named_exists() -> None:
    known = {variable(name) for name in Settings.model_fields} | {"OSTIARY_CONFIG_FILE"}
    files = [path for path in DEPLOY.rglob("*") if path.is_file()]
    named = {name: path for path in files for name in re.findall(r"\bOSTIARY_[A-Z_]+\b", path.read_text())}
    assert len(named) > 5
    assert {name: path for name, path in named.items() if name not in known} == {}


# systemd


@pytest.fixture(params=UNITS, ids=lambda unit: unit.name)
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A unit, with a command that exists here, and beside it the others."""
    for unit in UNITS:
        text = unit.read_text().replace("/opt/ostiary/bin/ostiary", str(Path(sys.executable).parent / "ostiary"))
        (tmp_path / unit.name).write_text(text)
    return tmp_path / Path(request.param).name


def test_systemd_understands_the_unit(unit: Path) -> None:
    assert run(str(installed("systemd-analyze", package="systemd")), "verify", "--man=no", str(unit)) == ""


def test_the_unit_leaves_the_service_few_rights(unit: Path) -> None:
    if unit.suffix == ".service":
        analyze = str(installed("systemd-analyze", package="systemd"))
        run(analyze, "security", "--offline=yes", f"--threshold={MOST_EXPOSED}", str(unit))


def test_systemd_is_told_once_the_server_is_ready(tmp_path: Path) -> None:
    place = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(place))
        told.settimeout(60)
        environment = clean_environment() | {"NOTIFY_SOCKET": str(place)}
        with serving([sys.executable, "-m", "ostiary"], tmp_path / "data", environment) as url:
            assert told.recv(100) == b"READY=1"
            assert probe(url)


# Docker


def steps() -> list[tuple[str, str]]:
    """Every instruction of the Dockerfile with what it says."""
    text = re.sub(r"\\\n\s*", "", DOCKERFILE.read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (line.strip().partition(" ") for line in lines)]


def said(word: str) -> list[str]:
    return [rest for instruction, rest in steps() if instruction == word]


def test_the_image_is_for_a_user_without_rights_and_tells_its_health() -> None:
    assert said("USER") == ["65532:65532"]
    assert said("VOLUME") == ["/data"]
    assert said("FROM")[-1] == "python:3.13-slim"
    assert '"-c"' in said("HEALTHCHECK")[0]
    instructions = [instruction for instruction, _ in steps()]
    assert instructions.index("USER") > max(i for i, word in enumerate(instructions) if word in {"RUN", "COPY"})


def test_the_image_is_built_by_the_uv_that_the_lock_names() -> None:
    locked = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    [version] = [package["version"] for package in locked if package["name"] == "uv"]
    assert f"uv=={version}" in said("RUN")[0]


def test_what_the_image_is_built_of_is_sent_to_the_builder() -> None:
    sent = (DOCKERFILE.parent / "Dockerfile.dockerignore").read_text().splitlines()
    for copied in said("COPY"):
        if not copied.startswith("--from"):
            *sources, _ = copied.split()
            assert all((ROOT / source).exists() and f"!{source}" in sent for source in sources)


@pytest.fixture(scope="module")
def scratch() -> Iterator[Path]:
    """A directory that everybody may enter, as pytest's own are not."""
    directory = Path(tempfile.mkdtemp(prefix="ostiary-image-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


def python_for_everybody() -> Path:
    """Answer a Python that any user may run: this one may lie in somebody's home."""
    ours = Path(sys.executable).resolve()
    if all(place.stat().st_mode & stat.S_IXOTH for place in (ours, *ours.parents)):
        return ours
    return installed("/usr/bin/python3", package="python3")


@pytest.fixture(scope="module")
def built(scratch: Path) -> Path:
    """What the image's own steps make of the repository, here in a directory."""
    build, made = scratch / "build", scratch / "opt"
    build.mkdir()
    for copied in said("COPY"):
        if not copied.startswith("--from"):
            *sources, _ = copied.split()
            for source in sources:
                path = ROOT / source
                shutil.copytree(path, build / source) if path.is_dir() else shutil.copy(path, build)
    settings = dict(pair.split("=", 1) for pair in said("ENV")[0].split())
    del settings["UV_NO_CACHE"]
    interpreter = str(python_for_everybody())
    environment = clean_environment() | settings | {"UV_PROJECT_ENVIRONMENT": str(made), "UV_PYTHON": interpreter}
    environment.pop("VIRTUAL_ENV", None)
    sync = next(command for command in said("RUN") if command.startswith("uv sync"))
    run(uv_of_our_own(), *sync.split()[1:], cwd=build, env=environment)
    shutil.rmtree(build)  # nothing may be needed of it
    return made


class serving:  # noqa: N801 - reads like a function
    """`ostiary serve` of some installation; tells where it listens."""

    def __init__(self, command: list[str], data_dir: Path, environment: dict[str, str], **options: Any) -> None:
        self._command = [*command, "serve", "--port", "0", "--data-dir", str(data_dir)]
        self._options: dict[str, Any] = {"env": environment, "cwd": "/", "stderr": subprocess.DEVNULL} | options

    def __enter__(self) -> str:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True, **self._options)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        found = re.search(r"listens on (http://\S+)", line)
        if found is None:
            self._process.kill()
            self._process.wait()
            pytest.fail(f"it did not start: {line}")
        return found[1]

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        assert self._process.stdout is not None
        self._process.stdout.close()
        assert self._process.wait(30) == 0


def probe(url: str) -> bool:
    """Ask for the server's health with the very command that the image has for it."""
    [command] = [yaml.safe_load(said("HEALTHCHECK")[0].partition("CMD ")[2])]
    program, option, source = command
    assert (program, option) == ("python", "-c")
    return (
        subprocess.run(
            [sys.executable, option, source.replace("http://127.0.0.1:8000", url)], timeout=30, check=False
        ).returncode
        == 0
    )


def test_what_the_image_holds_serves_nobody_in_particular_on_a_file_system_it_cannot_write(
    built: Path, scratch: Path
) -> None:
    data = scratch / "data"
    data.mkdir(mode=0o700)
    owner = NOBODY if os.geteuid() == 0 else None
    if owner:
        shutil.chown(data, owner, owner)
    before = {path: path.stat().st_mtime_ns for path in built.rglob("*")}
    environment = clean_environment() | {"PATH": str(built / "bin"), "HOME": str(data), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("PYTHONPATH", None)
    command = [str(built / "bin/python"), "-c", DENY_NEW_CODE, str(built / "bin/ostiary")]
    # Only root can become nobody; whoever else runs this is somebody, but may not write there either way.
    unprivileged: dict[str, Any] = {"user": owner, "group": owner, "extra_groups": []} if owner else {}
    with serving(command, data, environment, **unprivileged) as url:
        assert probe(url)
        assert not probe("http://127.0.0.1:9")
    assert {path: path.stat().st_mtime_ns for path in built.rglob("*")} == before
    assert (data / "ostiary.db").stat().st_uid == (owner or os.geteuid())
    for module in ("redis", "opentelemetry.sdk"):
        run(str(built / "bin/python"), "-c", f"import {module}", env=environment)


# Compose


def services() -> dict[str, dict[str, Any]]:
    return dict(yaml.safe_load(COMPOSE.read_text())["services"])


def test_services_of_the_compose_file_have_what_they_need_and_no_more() -> None:
    document, ours = yaml.safe_load(COMPOSE.read_text()), services()["ostiary"]
    assert ours["read_only"] is True
    assert ours["cap_drop"] == ["ALL"]
    for name, service in services().items():
        assert "no-new-privileges:true" in service["security_opt"], name
        assert "healthcheck" in service or name == "ostiary", name  # the image has ours
        assert all(volume.split(":")[0] in document["volumes"] for volume in service.get("volumes", ()))
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        assert "image" not in service or re.fullmatch(r"[\w/.-]+:\d[\w.-]*", service["image"])
    assert (COMPOSE.parent / ours["build"]["context"]).resolve() == ROOT
    assert (ROOT / ours["build"]["dockerfile"]).resolve() == DOCKERFILE
    for needed, how in ours["depends_on"].items():
        assert how == {"condition": "service_healthy"}
        assert "healthcheck" in services()[needed]


def test_the_compose_file_gives_settings_that_can_be_used(tmp_path: Path) -> None:
    given = services()["ostiary"]["environment"]
    values = {name.removeprefix("OSTIARY_").lower(): value for name, value in given.items()}
    values |= {"public_url": "https://accounts.example.com", "host": "0.0.0.0", "data_dir": tmp_path}
    settings = Settings.load(**values)
    assert settings.sqlite_file is None
    [network] = yaml.safe_load(COMPOSE.read_text())["networks"]["outside"]["ipam"]["config"]
    assert [str(trusted) for trusted in settings.trusted_proxies] == [f"{network['gateway']}/32"]


# Kubernetes


def objects() -> dict[str, dict[str, Any]]:
    return {found["kind"]: found for found in yaml.safe_load_all(KUBERNETES.read_text())}


def container() -> dict[str, Any]:
    [only] = objects()["Deployment"]["spec"]["template"]["spec"]["containers"]
    return dict(only)


def test_pods_are_as_the_restricted_standard_wants_them() -> None:
    pod = objects()["Deployment"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}" == said("USER")[0]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {mount["name"] for mount in container()["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


def test_probes_ask_what_they_should() -> None:
    probes = {kind: container()[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
    assert probes == {"startup": "/livez", "liveness": "/livez", "readiness": "/readyz"}
    ports = {port["name"] for port in container()["ports"]}
    assert {container()[f"{kind}Probe"]["httpGet"]["port"] for kind in probes} <= ports
    assert {port["targetPort"] for port in objects()["Service"]["spec"]["ports"]} <= ports


def test_what_selects_pods_finds_them() -> None:
    labels = objects()["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert objects()["Service"]["spec"]["selector"] == labels
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert objects()[kind]["spec"]["selector"] == {"matchLabels": labels}


def test_the_pods_get_settings_that_can_be_used(tmp_path: Path) -> None:
    values = {env["name"].removeprefix("OSTIARY_").lower(): env.get("value") for env in container()["env"]}
    assert [name for name, value in values.items() if value is None] == ["secret_key", "database_url"]
    values |= {"secret_key": "Zr3v9Qm1Lx7Tb5Yk2Wn8Hc4Jd6Fg0PsUaEoRiNt", "database_url": "postgresql://o:p@db.example/o"}
    settings = Settings.load(**values, host="0.0.0.0", data_dir=tmp_path)
    [port] = [port["containerPort"] for port in container()["ports"] if port["name"] == "metrics"]
    assert settings.metrics_port == port
    assert objects()["Deployment"]["spec"]["template"]["metadata"]["annotations"]["prometheus.io/port"] == str(port)
