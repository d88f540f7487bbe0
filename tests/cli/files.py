"""Files of users for imports, and hashes of the password that all of them have."""

import csv
import io
import json
from collections.abc import Iterable
from typing import Any

import argon2

from ostiary.crypto.passwords import MEMORY_KIB, TIME_COST
from tests.people import PASSWORD

OURS = argon2.PasswordHasher(time_cost=TIME_COST, memory_cost=MEMORY_KIB, parallelism=1).hash(PASSWORD)
ANOTHER = argon2.PasswordHasher(time_cost=3, memory_cost=4096, parallelism=2).hash(PASSWORD)


def user(name: str, **members: Any) -> dict[str, Any]:
    """What a file says of somebody."""
    return {"email": f"{name}@example.com", "username": name} | members


def json_lines(users: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in users)


def csv_lines(columns: list[str], users: Iterable[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    for each in users:
        values = (each.get(column, "") for column in columns)
        writer.writerow(str(value).lower() if isinstance(value, bool) else value for value in values)
    return text.getvalue().encode()
