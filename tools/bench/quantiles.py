"""How a distribution of latencies is kept: at these percentiles, in milliseconds."""

from collections.abc import Sequence

PERCENTILES = (1.0, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.9, 100.0)


def latency_ms(seconds: Sequence[float]) -> dict[str, float]:
    """Give the latency at each percentile, by its name."""
    ordered = sorted(seconds)
    if not ordered:
        return {}
    return {
        name(each): round(ordered[min(len(ordered) - 1, int(len(ordered) * each / 100))] * 1000, 4)
        for each in PERCENTILES
    }


def name(percentile: float) -> str:
    """Write a percentile as the results name it: `50`, `99.9`."""
    return f"{percentile:g}"
