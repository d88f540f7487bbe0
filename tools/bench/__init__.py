"""`make bench`: Ostiary beside its peers and above its floors, measured on this machine, in one run.

machine.py    cores, pinning, versions, memory of a process
databases.py  filled databases, kept in .cache/bench
servers.py    Ostiary, PocketBase and the bare ASGI answer as processes
load.py       load from wrk or from client.py, both on a core of their own, every answer counted
client.py     the load client where a connection has its own chain of tokens, or where arrivals follow the clock
floors.py     the least that each kind of work can cost
hot.py, hashing.py, sizes.py, single.py   what is measured; each adds figures to the results
results.py    figures of a run, in docs/benchmarks/results.json
bars.py       P1 to P10 as declarations, and their verdicts: pure
report.py, plots.py   the page and the pictures, made from the results alone
"""
