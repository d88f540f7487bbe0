"""Load on a server, from wrk or from our own client, on a core of its own; an answer that is no success ends it all."""

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tools.bench.machine import LOAD_CORE, ROOT, pinned
from tools.bench.quantiles import PERCENTILES, name

CONNECTIONS = 32
WARM_UP_SECONDS = 1.0
EXTRA_SECONDS = 90.0


class LoadFailedError(Exception):
    """The load met an answer that it must not get, or none."""


@dataclass(frozen=True)
class Load:
    """What a stretch of load saw."""

    rate: float
    """Successful answers in a second."""
    latency_ms: dict[str, float]
    seconds: float
    processor_seconds: float
    """Processor time of the load generator itself."""
    answers: dict[str, Any] = field(default_factory=dict)
    without_retry_after: int = 0

    @property
    def busy(self) -> float:
        """How near the load generator came to its own limit: its share of one core."""
        return self.processor_seconds / self.seconds


@dataclass(frozen=True)
class Spot:
    """Where something listens."""

    host: str
    port: int


@dataclass(frozen=True)
class Pattern:
    """A request with a random whole number between two pieces; with none, it is the first piece alone."""

    before: str
    after: str = ""


def headers(spot: Spot, *lines: str) -> str:
    """Write the headers that every request has, and some more."""
    return "".join(f"{line}\r\n" for line in (f"Host: {spot.host}:{spot.port}", "Accept: application/json", *lines))


def get(spot: Spot, path: str, *lines: str) -> Pattern:
    """Make a pattern of a GET; `{n}` in the path is where the number stands."""
    before, _, after = f"GET {path} HTTP/1.1\r\n{headers(spot, *lines)}\r\n".partition("{n}")
    return Pattern(before, after)


_SCRIPT = """\
local before, after = {%(before)s}, {%(after)s}
local low, high = %(low)d, %(high)d
math.randomseed(%(seed)d)
request = function()
  local i = math.random(#before)
  if after[i] == "" then return before[i] end
  return before[i] .. string.format("%%d", math.random(low, high)) .. after[i]
end
done = function(summary, latency, requests)
  local e, out = summary.errors, {}
  for _, p in ipairs({%(percentiles)s}) do
    local us = p == 100 and latency.max or latency:percentile(p)
    out[#out + 1] = string.format('"%%s":%%.4f', tostring(p), us / 1000)
  end
  io.write(string.format('\\nBENCH {"requests":%%d,"us":%%d,"status":%%d,"broken":%%d,"latency_ms":{%%s}}\\n',
    summary.requests, summary.duration, e.status, e.connect + e.read + e.write + e.timeout, table.concat(out, ",")))
end
"""


def wrk(
    spot: Spot,
    patterns: Sequence[Pattern],
    *,
    seconds: float,
    numbers: tuple[int, int] = (0, 0),
    connections: int = CONNECTIONS,
    core: int | None = LOAD_CORE,
    seed: int = 1,
) -> Load:
    """Load with wrk, every connection kept busy; wrk counts each answer that is no success. Raises LoadFailedError."""
    script = _SCRIPT % {
        "before": ",".join(_lua(each.before) for each in patterns),
        "after": ",".join(_lua(each.after) for each in patterns),
        "low": numbers[0],
        "high": numbers[1],
        "seed": seed,
        "percentiles": ",".join(name(each) for each in PERCENTILES),
    }
    with tempfile.NamedTemporaryFile("w", suffix=".lua", encoding="utf-8") as file:
        file.write(script)
        file.flush()
        command = ["wrk", "-t1", f"-c{connections}", "--timeout", "10s", "-s", file.name]
        url = f"http://{spot.host}:{spot.port}/"
        _run(pinned([*command, "-d1s", url], core), WARM_UP_SECONDS)
        used = _children_seconds()
        output = _run(pinned([*command, f"-d{max(1, round(seconds))}s", url], core), seconds)
        used = _children_seconds() - used
    said = json.loads(output.partition("BENCH ")[2].partition("\n")[0])
    if said["status"] or said["broken"] or not said["requests"]:
        raise LoadFailedError(f"{patterns[0].before[:60]!r}: {said}")
    taken = said["us"] / 1e6
    return Load(said["requests"] / taken, said["latency_ms"], taken, used)


def closed(
    spot: Spot,
    connections: Sequence[dict[str, Any]],
    *,
    seconds: float,
    take: str = "",
    core: int | None = LOAD_CORE,
    warmup: float = WARM_UP_SECONDS,
) -> Load:
    """Load with our client, every connection kept busy with its own requests. Raises LoadFailedError."""
    client = Client.closed(spot, connections, seconds=seconds, take=take, core=core, warmup=warmup)
    return client.result()


class Client:
    """Our client at work in a process of its own, so that several can be at work at once."""

    def __init__(self, work: dict[str, Any], core: int | None) -> None:
        command = pinned([sys.executable, "-m", "tools.bench.client"], core)
        self._seconds = work["seconds"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        if self._process.stdin is not None:
            self._process.stdin.write(json.dumps(work))
            self._process.stdin.close()
            self._process.stdin = None  # communicate() must not touch it again

    @classmethod
    def closed(
        cls,
        spot: Spot,
        connections: Sequence[dict[str, Any]],
        *,
        seconds: float,
        take: str = "",
        core: int | None = None,
        warmup: float = WARM_UP_SECONDS,
    ) -> "Client":
        """Keep every connection busy."""
        work = {"mode": "closed", "host": spot.host, "port": spot.port, "seconds": seconds, "warmup": warmup}
        return cls(work | {"connections": list(connections), "take": take}, core)

    @classmethod
    def open(cls, spot: Spot, requests: Sequence[tuple[str, str]], *, rate: float, seconds: float) -> "Client":
        """Send requests by the clock."""
        work = {"mode": "open", "host": spot.host, "port": spot.port, "seconds": seconds, "rate": rate}
        return cls(work | {"requests": list(requests)}, None)

    def result(self, *also: str) -> Load:
        """Wait for it and say what it saw; statuses besides 200 must be named. Raises LoadFailedError."""
        try:
            output, errors = self._process.communicate(timeout=self._seconds + EXTRA_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise LoadFailedError("the load client did not end") from None
        if self._process.returncode:
            raise LoadFailedError(f"the load client failed: {errors.strip()}")
        said = json.loads(output)
        answers = said["answers"]
        if set(answers) - {"200", *also} or not answers:
            raise LoadFailedError(f"answers by status: { {status: each['count'] for status, each in answers.items()} }")
        good = answers.get("200", {"count": 0, "latency_ms": {}})
        rate = good["count"] / said["seconds"]
        return Load(
            rate,
            good["latency_ms"],
            said["seconds"],
            said["processor_seconds"],
            answers=answers,
            without_retry_after=said["without_retry_after"],
        )


def _run(command: list[str], seconds: float) -> str:
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=seconds + EXTRA_SECONDS, cwd=ROOT
        )
    except subprocess.TimeoutExpired:
        raise LoadFailedError(f"{command[0]} did not end") from None
    if ended.returncode:
        raise LoadFailedError(f"{' '.join(command[:4])} … failed: {ended.stderr.strip() or ended.stdout.strip()}")
    return ended.stdout


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _lua(text: str) -> str:
    return json.dumps(text)  # the escapes that requests need, \r, \n and \", are the same in Lua
