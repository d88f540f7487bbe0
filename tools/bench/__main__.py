"""`make bench`: measure, judge, and write the page. `--help` tells the options."""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from tests.parts import postgres
from tools.bench import bars, hashing, hot, machine, report, several, single, sizes
from tools.bench.bars import BARS, Verdict
from tools.bench.results import Results

PUBLISHED = machine.ROOT / "docs" / "benchmarks"
LATEST = machine.CACHE / "latest"


@dataclass(frozen=True)
class Options:
    """How much is measured."""

    bars: set[str]
    rounds: int
    seconds: float
    is_quick: bool

    @property
    def is_full(self) -> bool:
        """Whether it measures everything at full size, and so may be published."""
        return not self.is_quick and self.bars == bars.chosen("")


def main() -> int:
    """Measure as the options say; exit code 1 when something could not be measured, whatever the bars say."""
    parser = argparse.ArgumentParser(prog="make bench", description="Measure Ostiary beside its peers.")
    parser.add_argument(
        "--only", default="", metavar="P1,WORKERS", help="measure only these bars, or one process beside two"
    )
    parser.add_argument("--rounds", type=int, default=0, help="how often each figure is taken; the median counts [3]")
    parser.add_argument("--seconds", type=float, default=0.0, help="length of one stretch of load [5]")
    parser.add_argument("--quick", action="store_true", help="one round, short stretches, small tables: a try-out")
    parser.add_argument("--out", type=Path, help=f"where to write; a full run {PUBLISHED.name}/, others {LATEST}")
    parser.add_argument("--report", action="store_true", help="write page and plots from results.json again")
    given = parser.parse_args()
    if given.report:
        place = given.out or PUBLISHED
        if not (place / report.RESULTS).exists():
            parser.error(f"there is no {report.RESULTS} in {place} yet: `make bench` makes it")
        report.write(place)
        return 0
    try:
        chosen = bars.chosen(given.only)
    except ValueError as error:
        parser.error(str(error))
    rounds = given.rounds or (1 if given.quick else 3)
    options = Options(chosen, rounds, given.seconds or (2.0 if given.quick else 5.0), given.quick)
    out = given.out or (PUBLISHED if options.is_full else LATEST)
    results = measure(options)
    results.save(out / report.RESULTS)
    report.write(out)
    for judgement in (bars.judge(bar, results) for bar in BARS if bar.id in chosen):
        print(report.line(judgement))
    print(f"Written to {out}")
    missing = [bar for bar in BARS if bar.id in chosen and bars.judge(bar, results).verdict is Verdict.NOT_MEASURED]
    return 1 if results.failures or missing else 0


def measure(options: Options) -> Results:
    """Run every part that a chosen bar needs; one that fails does not take the others with it."""
    machine.CACHE.mkdir(parents=True, exist_ok=True)
    find_wrk()
    began = time.monotonic()
    newest = list(postgres.available().values())[-1]
    results = Results(
        about={
            "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "rounds": options.rounds,
            "seconds": options.seconds,
            "quick": options.is_quick,
            "bars": sorted(options.bars),
            "load_before": f"{os.getloadavg()[0]:.2f}",
            "machine": machine.facts(),
            "versions": machine.versions(postgres=newest.major),
        }
    )
    for name, part in parts(options, results):
        try:
            part()
        except Exception as error:  # noqa: BLE001 - hours of figures are not lost for the one that failed
            results.fail(name, f"{type(error).__name__}: {error}")
    results.about["minutes"] = round((time.monotonic() - began) / 60, 1)
    return results


def parts(options: Options, results: Results) -> list[tuple[str, Callable[[], None]]]:
    """List what is to be measured, with the largest table small where it must be quick."""
    wanted, rounds, seconds = options.bars, options.rounds, options.seconds
    most = 100_000 if options.is_quick else 10_000_000
    imported = 50_000 if options.is_quick else 1_000_000
    every = options.bars == bars.chosen("")
    found: list[tuple[str, Callable[[], None]]] = [
        ("hot endpoints", lambda: hot.measure(results, wanted, rounds=rounds, seconds=seconds)),
        ("floors", lambda: single.floors(results, wanted, rounds=rounds, seconds=seconds)),
        ("logins", lambda: hashing.measure(results, wanted, rounds=rounds, seconds=seconds)),
    ]
    if "P7" in wanted:
        found.append(("the largest table", lambda: sizes.depth(results, users=most, rounds=rounds)))
    if every:
        found.append(("growth", lambda: sizes.growth(results, most=most, seconds=seconds)))
    if bars.WORKERS in wanted:
        users = 10_000 if options.is_quick else hot.USERS
        several_at_once = partial(several.measure, results, rounds=rounds, seconds=seconds, users=users)
        found.append(("several processes", several_at_once))
    if "P9" in wanted:
        found.append(("one process", lambda: single.idle(results)))
    if "P10" in wanted:
        found.append(("import", lambda: single.imports(results, users=imported)))
    return found


def find_wrk() -> None:
    """Find wrk, or install it where that is possible without asking."""
    if shutil.which("wrk"):
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print("Installing wrk from Debian", flush=True)
        subprocess.run(["apt-get", "update", "-qq"], check=False, stdout=subprocess.DEVNULL)
        subprocess.run(["apt-get", "install", "-qq", "--yes", "wrk"], check=False, stdout=subprocess.DEVNULL)
    if not shutil.which("wrk"):
        sys.exit("make bench needs wrk: apt-get install wrk (or build https://github.com/wg/wrk), and try again")


if __name__ == "__main__":
    sys.exit(main())
