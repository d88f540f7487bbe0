"""The pictures: throughput beside the peers, how latencies are distributed, and cost as the table grows."""

from math import log10
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from tools.bench import several
from tools.bench.results import Results

SIDES = {
    "sqlite": ("Ostiary, SQLite", "#1b6ca8"),
    "postgres": ("Ostiary, PostgreSQL", "#7fb7dd"),
    "pocketbase": ("PocketBase", "#e08e45"),
}
WAYS = ("health", "read", "refresh", "list", "login")
CURVES = ("read", "refresh", "list")
COLOURS = {"read": "#1b6ca8", "list": "#4c9f70", "refresh": "#8a5fbf", "login": "#e08e45"}


def draw(results: Results, directory: Path) -> list[tuple[str, str]]:
    """Draw what the results have figures for; answer file names and captions."""
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "ostiary"  # the same results give the same file
    for left in directory.glob("*.svg"):
        left.unlink()  # of a run that measured more
    drawn = []
    if any(f"{side}.{way}" in results.figures for side in SIDES for way in WAYS):
        drawn.append(_throughput(results, directory / "throughput.svg"))
    if any(f"{side}.{way}" in results.figures for side in SIDES for way in CURVES):
        drawn.append(_latency(results, directory / "latency.svg"))
    if any(several.key(count, way) in results.figures for count in several.COUNTS for way in several.WAYS):
        drawn.append(_several(results, directory / "workers.svg"))
    if results.sizes:
        drawn.append(_growth(results, directory / "growth.svg"))
    return drawn


def _throughput(results: Results, file: Path) -> tuple[str, str]:
    figure, axes = plt.subplots(figsize=(9, 4.5))
    width = 0.27
    for place, (side, (label, colour)) in enumerate(SIDES.items()):
        known = [(at, results.median(f"{side}.{way}")) for at, way in enumerate(WAYS)]
        bars = [(at + (place - 1) * width, value) for at, value in known if value]
        if bars:
            drawn = axes.bar([at for at, _ in bars], [value for _, value in bars], width, label=label, color=colour)
            axes.bar_label(drawn, [f"{value:,.0f}" for _, value in bars], fontsize=7)
    axes.set_yscale("log")
    axes.set_xticks(range(len(WAYS)), WAYS)
    axes.set_ylabel("answers a second, one core")
    axes.legend(frameon=False)
    return _keep(figure, file, "Throughput by endpoint, 100,000 users; the scale is logarithmic")


def _several(results: Results, file: Path) -> tuple[str, str]:
    figure, axes = plt.subplots(figsize=(9, 4.5))
    width = 0.4
    for place, (count, colour) in enumerate(zip(several.COUNTS, ("#7fb7dd", "#1b6ca8"), strict=True)):
        known = [(at, results.median(several.key(count, way))) for at, way in enumerate(several.WAYS)]
        bars = [(at + (place - 0.5) * width, value) for at, value in known if value]
        if bars:
            label = f"{count} worker{'s' if count > 1 else ''}"
            drawn = axes.bar([at for at, _ in bars], [value for _, value in bars], width, label=label, color=colour)
            axes.bar_label(drawn, [f"{value:,.0f}" for _, value in bars], fontsize=7)
    axes.set_yscale("log")
    axes.set_xticks(range(len(several.WAYS)), several.WAYS)
    axes.set_ylabel("answers a second, all cores")
    axes.legend(frameon=False)
    return _keep(figure, file, "One worker process beside two, PostgreSQL; the scale is logarithmic")


def _latency(results: Results, file: Path) -> tuple[str, str]:
    figure, axes = plt.subplots(figsize=(9, 4.5))
    for side, (label, _) in SIDES.items():
        for way in CURVES:
            kept = results.figures.get(f"{side}.{way}")
            if kept and kept.latency_ms:
                points = [(float(name), value) for name, value in kept.latency_ms.items()]
                style = "--" if side == "pocketbase" else ":" if side == "postgres" else "-"
                axes.plot(
                    [_nines(percentile) for percentile, _ in points],
                    [value for _, value in points],
                    style,
                    color=COLOURS[way],
                    label=f"{label}: {way}",
                )
    names = (1.0, 50.0, 90.0, 99.0, 99.9)
    axes.set_xticks([_nines(percentile) for percentile in names], [f"{percentile:g} %" for percentile in names])
    axes.set_yscale("log")
    axes.set_ylabel("milliseconds")
    axes.legend(frameon=False, fontsize=7)
    return _keep(figure, file, "Latency under full load of 32 connections, by percentile")


def _growth(results: Results, file: Path) -> tuple[str, str]:
    figure, both = plt.subplots(1, 2, figsize=(11, 4.5))
    for way, colour in COLOURS.items():
        rows = [row for row in results.sizes if row["endpoint"] == way]
        users = [row["users"] for row in rows]
        if rows:
            both[0].plot(users, [row["rate"] for row in rows], "o-", color=colour, label=way)
            for name, style in (("50", "o-"), ("99", "o:")):
                values = [row["latency_ms"][name] for row in rows]
                both[1].plot(users, values, style, color=colour, label=f"{way} p{name}")
    for axes, label in zip(both, ("answers a second, one core", "milliseconds, 32 connections"), strict=True):
        _logarithmic(axes, label)
    return _keep(figure, file, "Throughput and latency against the number of users, SQLite; logarithmic scales")


def _logarithmic(axes: Axes, label: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("users")
    axes.set_ylabel(label)
    axes.legend(frameon=False, fontsize=7)


def _nines(percentile: float) -> float:
    """Spread the far end: each further nine takes as much room as the one before."""
    return -log10(1 - min(percentile, 99.95) / 100)


def _keep(figure: plt.Figure, file: Path, caption: str) -> tuple[str, str]:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)
    return file.name, caption
