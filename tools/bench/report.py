"""The page and its pictures, made from the results of a run and nothing else."""

from pathlib import Path

from tools.bench import several
from tools.bench.bars import BARS, FLOORS, TIMES, Bar, Judgement, Verdict, judge
from tools.bench.results import Figure, Results

RESULTS = "results.json"
PAGE = "README.md"
NEAR_ITS_LIMIT = 0.9
_MARKS = {Verdict.MET: "met", Verdict.MISSED: "**missed**", Verdict.NOT_MEASURED: "**not measured**"}


def write(directory: Path) -> None:
    """Write the page and the plots beside the results."""
    from tools.bench import plots  # noqa: PLC0415 - the page alone needs no plotting library

    results = Results.read(directory / RESULTS)
    pictures = plots.draw(results, directory)
    (directory / PAGE).write_text(page(results, pictures), encoding="utf-8")


def page(results: Results, pictures: list[tuple[str, str]]) -> str:
    """Write the page; pictures come as file name and caption."""
    judged = [judge(bar, results) for bar in BARS if bar.id in results.about["bars"]]
    parts = [_opening(results), _summary(judged), _bars(judged), _floors(results), _several(results), _beside(results)]
    parts += [f"![{caption}]({file})\n\n{caption}" for file, caption in pictures]
    parts += [_notes(results), _conditions(results)]
    return "\n\n".join(part for part in parts if part) + "\n"


def line(judgement: Judgement) -> str:
    """Say a bar in one line, for the terminal."""
    bar = judgement.bar
    value = "-" if judgement.value is None else f"{_number(judgement.value)} {bar.unit}"
    return f"{bar.id:4} {judgement.verdict.value:12} {value:>14}  ({_bound(bar)})  {bar.what}"


def _opening(results: Results) -> str:
    about = results.about
    said = "# Benchmarks\n\n<!-- Made by `make bench`. Measure again there; do not edit here. -->\n\n"
    said += f"Measured on {about['date']} in {about.get('minutes', '?')} minutes, both sides on one machine in one run,"
    said += f" alternating: {about['rounds']} round(s) of {about['seconds']:g} s, of which the median counts."
    if about["quick"]:
        said += "\n\n**A quick run**: tables and imports are smaller than the bars ask for. It shows that the harness"
        said += " works, not how fast anything is."
    return said


def _summary(judged: list[Judgement]) -> str:
    met = sum(each.verdict is Verdict.MET for each in judged)
    return f"{met} of {len(judged)} bars are met."


def _bars(judged: list[Judgement]) -> str:
    rows = ["## The bars", "", "| | What | Ours | Beside it | Ratio or value | Bar | |", "|" + " --- |" * 7]
    for each in judged:
        bar = each.bar
        theirs = "" if each.theirs is None else f"{_number(each.theirs)} ({bar.whom})"
        ours = "" if each.ours is None else _number(each.ours)
        value = "" if each.value is None else f"{_number(each.value)} {bar.unit}"
        rows.append(f"| {bar.id} | {bar.what} | {ours} | {theirs} | {value} | {_bound(bar)} | {_MARKS[each.verdict]} |")
    return "\n".join(rows)


def _floors(results: Results) -> str:
    rows = ["## Against the floor", "", "| What | A second | Floor | A second | Share |", "|" + " --- |" * 5]
    for what, key, floor, floor_key in FLOORS:
        ours, least = results.median(key), results.median(floor_key)
        if ours is not None and least:
            rows.append(f"| {what} | {_number(ours)} | {floor} | {_number(least)} | {ours / least:.0%} |")
    return "\n".join(rows) if len(rows) > 4 else ""  # noqa: PLR2004 - the head alone


def _several(results: Results) -> str:
    """Set two worker processes beside one."""
    rows = ["## Several processes", "", "| PostgreSQL, a second | One worker | Two | |", "|" + " --- |" * 4]
    for way in several.WAYS:
        one, two = (results.median(several.key(count, way)) for count in several.COUNTS)
        if one and two:
            rows.append(f"| {way} | {_number(one)} | {_number(two)} | {_number(two / one)} {TIMES} |")
    cores = results.about["machine"].get("cores", "?")
    said = (
        f"\n\nServer, PostgreSQL and load generator share the machine's {cores} cores, which bounds what two can add."
    )
    return "\n".join(rows) + said if len(rows) > 4 else ""  # noqa: PLR2004 - the head alone


def _beside(results: Results) -> str:
    """List every throughput, with its spread over the rounds and its latencies."""
    rows = [
        "## All figures",
        "",
        "| Figure | Median | Least | Most | p50 ms | p99 ms | Client busy |",
        "|" + " --- |" * 7,
    ]
    for key, figure in results.figures.items():
        rows.append(f"| {key} | {' | '.join(_cells(figure))} |")
    return "\n".join(rows)


def _cells(figure: Figure) -> list[str]:
    values = (figure.median, min(figure.values), max(figure.values))
    latencies = [_number(figure.latency_ms[name]) if name in figure.latency_ms else "" for name in ("50", "99")]
    busy = f"{figure.busy:.0%}" if figure.busy else ""
    return [f"{_number(values[0])} {figure.unit}", _number(values[1]), _number(values[2]), *latencies, busy]


def _notes(results: Results) -> str:
    notes = [f"- Not measured: {part}: {reason}" for part, reason in results.failures.items()]
    notes += [
        f"- {key}: the load generator was {figure.busy:.0%} busy, so the server may be faster than shown"
        for key, figure in results.figures.items()
        if figure.busy > NEAR_ITS_LIMIT
    ]
    return "\n".join(["## To know", "", *notes]) if notes else ""


def _conditions(results: Results) -> str:
    about = results.about
    rows = ["## Conditions", "", "| | |", "| --- | --- |"]
    rows += [f"| {name} | {value} |" for name, value in (about["machine"] | about["versions"]).items()]
    rows.append(f"| load before the run | {about['load_before']} |")
    return "\n".join(rows) + "\n\n" + _HOW


def _bound(bar: Bar) -> str:
    return f"{bar.sense.value} {bar.bound:,g} {bar.unit}"


def _number(value: float) -> str:
    if value in {float("inf"), float("-inf")}:
        return "∞"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"  # noqa: PLR2004 - three digits say enough


_HOW = """\
How it was measured: the server on one core, the load generator on another, PostgreSQL left to the scheduler; logins
of P5, P6 and P8 on all cores. 32 connections, keep-alive (16 where logins have one core only); request limits on, set
far above the load; each request logged as JSON to a file; Argon2id at the defaults. An answer that is no success ends
the measurement, and what the answers say is looked at before. P6 reads 200 users a second by the clock while 32
connections log in; P8 counts latency from the moment a request was due. PocketBase runs without `--dev`; its users list
everybody and read themselves, its login alert is off, and its refresh stores nothing, where ours is durable.

```console
$ make bench                              # everything; a first run fills tables for some minutes
$ make bench ARGS="--quick"               # a try-out
$ make bench ARGS="--only P1,P4"          # some bars; written to .cache/bench/latest
$ make bench-report                       # this page and its plots again, from results.json
```"""
