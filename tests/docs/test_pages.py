"""What the documentation shows is run as it stands there."""

import asyncio
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.people import bearer, refresh, signed_in
from tests.server import Process

ROOT = Path(__file__).parents[2]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    """A server as a newcomer starts it."""
    with Process(tmp_path / "data") as process:
        yield process


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)


def commands(block: str) -> str:
    """The commands of a console block, without prompts and output."""
    lines, continued = [], False
    for line in block.splitlines():
        if continued or line.startswith("$ "):
            lines.append(line.removeprefix("$ "))
            continued = line.endswith("\\")
    return "\n".join(lines)


def test_the_lines_of_the_readme_sign_up_log_in_read_list_and_refresh(process: Process, tmp_path: Path) -> None:
    block = next(block for block in blocks("README.md", "console") if "curl" in block)
    script = commands(block).replace("localhost:8000", process.url.removeprefix("http://"))
    ran = subprocess.run(["bash", "-ec", script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.count('"username":"username"') == 3
    assert '"total":1,"skip":0,"limit":10}' in ran.stdout
    assert ran.stdout.count('"token_type":"bearer"}') == 2
    assert "detail" not in ran.stdout


def test_what_serve_prints_can_be_pasted(process: Process, tmp_path: Path) -> None:
    with process.client() as client:
        while "/setup" not in process.printed:
            client.get("/health")
    lines = [line.strip() for line in process.printed.splitlines() if line.startswith("  ")]
    assert len(lines) == 4
    script = "\n".join(lines).replace("CHOOSE-YOUR-OWN", "correct-horse-Battery-9")
    ran = subprocess.run(["bash", "-ec", script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.count('"username":"username"') == 2
    assert '"is_superuser":true' in ran.stdout


def test_the_verifier_of_the_guide_accepts_access_tokens_and_nothing_else(process: Process) -> None:
    issuer = f"http://localhost:{process.url.rpartition(':')[2]}"
    code = blocks("docs/guide.md", "python")[0].replace("http://localhost:8000", issuer)
    module: dict[str, Any] = {}
    exec(compile(code, "docs/guide.md", "exec"), module)  # the page is ours
    with process.client() as client:
        person = signed_in(client)
        newer = refresh(client, person.refresh_token).json()["access_token"]
    for token in (person.access_token, newer):
        assert ask(module["app"], token).json() == {"user_id": person.id}
    for token in (newer.partition(".")[0], newer[:-4] + "AAAA", person.refresh_token):
        assert ask(module["app"], token).status_code == 401


def ask(service: Any, token: str) -> httpx.Response:
    """Call the example's one endpoint."""

    async def call() -> httpx.Response:
        transport = httpx.ASGITransport(service)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.get("/whoami", headers=bearer(token))

    return asyncio.run(call())
