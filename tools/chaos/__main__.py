"""`make chaos`: run every test of a fault, and write the page. `--help` tells the options."""

import argparse
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.figures import LONG, RESULTS
from tools.bench import machine
from tools.chaos import report

PUBLISHED = machine.ROOT / "docs" / "reliability"
LATEST = machine.ROOT / ".cache" / "chaos" / "latest"
NOTHING_FAILED = (0, 5)
"""5: the choice left nothing to run."""


def main() -> int:
    """Pull all plugs; exit code 1 when a test failed. A bound that was missed stays on the page."""
    parser = argparse.ArgumentParser(
        prog="make chaos", description="Pull every plug, many times, and write down what came."
    )
    parser.add_argument(
        "--only", default="", metavar="EXPRESSION", help="the tests whose names match, as for pytest -k"
    )
    parser.add_argument("--quick", action="store_true", help="as few rounds as in the suite: a try-out")
    parser.add_argument("--out", type=Path, help=f"where to write; a full run {PUBLISHED.name}/, others {LATEST}")
    parser.add_argument("--report", action="store_true", help=f"write the page from {report.RESULTS} again")
    given = parser.parse_args()
    out: Path = given.out or (LATEST if given.quick or given.only else PUBLISHED)
    if given.report:
        report.write(given.out or PUBLISHED)
        return 0
    code, results = run(only=given.only, is_long=not given.quick)
    out.mkdir(parents=True, exist_ok=True)
    (out / report.RESULTS).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    report.write(out)
    print(f"Written to {out}")
    return 0 if code in NOTHING_FAILED else 1


def run(*, only: str, is_long: bool) -> tuple[int, report.Results]:
    """Run the tests; answer pytest's exit code, and what they measured."""
    LATEST.mkdir(parents=True, exist_ok=True)
    lines = LATEST / "lines.jsonl"
    lines.unlink(missing_ok=True)
    began_at, load = time.monotonic(), os.getloadavg()[0]
    command = [sys.executable, "-m", "pytest", "-m", "faults", "-p", "no:randomly", "--timeout=3600"]
    if only:
        command += ["-k", only]
    environment = os.environ | {RESULTS: str(lines), LONG: "1" if is_long else "0"}
    code = subprocess.run(command, cwd=machine.ROOT, env=environment, check=False).returncode
    facts = machine.facts()
    results: report.Results = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "minutes": round((time.monotonic() - began_at) / 60),
        "is_long": is_long,
        "only": only,
        "commit": machine.commit(),
        "machine": {name: facts[name] for name in ("processor", "cores", "memory", "system")}
        | {"load before the run": f"{load:.2f}"},
        "tests": [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
        if lines.exists()
        else [],
    }
    return code, results


if __name__ == "__main__":
    sys.exit(main())
