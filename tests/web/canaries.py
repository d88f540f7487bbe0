"""Secrets that are planted everywhere, to be looked for where they must not be."""

import secrets
from collections.abc import Iterator

import httpx

from tests.people import Person, bearer, log_in, newcomer, refresh


class Canaries:
    """Everything secret that was ever said to the server or by it."""

    def __init__(self) -> None:
        self.found: set[str] = set()

    def password(self) -> str:
        word = f"Canary-{secrets.token_hex(12)}-9x"
        self.found.add(word)
        return word

    def token(self, token: str) -> str:
        self.found |= {token, token.rpartition(".")[2]}
        return token

    def pair(self, answer: httpx.Response) -> tuple[str, str]:
        tokens = answer.json()
        return self.token(tokens["access_token"]), self.token(tokens["refresh_token"])

    def are_in(self, content: bytes) -> list[str]:
        """Those that stand in some bytes, as they are or as hexadecimal digits."""
        return [
            canary
            for canary in self.found
            if canary.encode() in content or canary.encode().hex().encode() in content.lower()
        ]


def live(api: httpx.Client, canaries: Canaries, setup_token: str | None) -> Iterator[httpx.Response]:
    """Do everything that has a secret in it; answer the errors."""
    password = canaries.password()
    body = newcomer(password=password)
    person = Person(api.post("/users", json=body).json(), password)
    yield api.post("/users", json=body)
    yield api.post("/users", json=newcomer(password=canaries.password()) | {"email": canaries.password()})
    access, old = canaries.pair(api.post("/auth/login", json={"email": person.email, "password": password}))
    yield api.post("/auth/login", json={"email": person.email, "password": canaries.password()})
    yield api.post("/auth/login", json={"email": "nobody@example.com", "password": canaries.password()})
    yield api.post("/auth/login", json={"email": canaries.password(), "password": canaries.password()})
    yield api.post("/auth/login", json={"email": [canaries.password()], "password": {"a": canaries.password()}})
    access, new = canaries.pair(refresh(api, old))
    canaries.pair(refresh(api, new))
    yield refresh(api, old)
    yield api.get("/users", headers=bearer(access))
    yield from lie(api, canaries, access)
    if setup_token is not None:
        yield api.post("/setup", json=newcomer(password=canaries.password(), token=canaries.password()))
        assert api.post("/setup", json=newcomer(password=canaries.password(), token=setup_token)).status_code == 201
        yield api.post("/setup", json=newcomer(password=canaries.password(), token=setup_token))
    again = log_in(api, person)
    for token in (again.access_token, again.refresh_token):
        canaries.token(token)
    made = api.post("/api-keys", json={"name": "canary"}, headers=again.auth).json()
    key = canaries.token(made["key"])
    canaries.found.add(key.rpartition("_")[2])
    assert api.get("/users", headers=bearer(key)).status_code == 200
    yield api.get("/users", headers=bearer(canaries.token(f"{key[:-1]}!")))
    yield api.post("/auth/logout", headers=bearer(key))
    assert api.delete(f"/api-keys/{made['id']}", headers=again.auth).status_code == 204
    yield api.get("/users", headers=bearer(key))
    assert api.post("/auth/logout", headers=again.auth).status_code == 204
    yield api.get("/users", headers=again.auth)


def lie(api: httpx.Client, canaries: Canaries, access: str) -> Iterator[httpx.Response]:
    """Present what is forged, malformed or in the wrong place."""
    head, claims, _ = access.split(".")
    forged = canaries.token(f"{head}.{claims}.{secrets.token_urlsafe(64)}")
    yield api.get("/users", headers=bearer(forged))
    yield api.get("/users", headers={"Authorization": f"Basic {canaries.token(secrets.token_hex(16))}"})
    yield refresh(api, forged)
    yield refresh(api, canaries.token(secrets.token_hex(16)))
    query = {"password": canaries.password(), "access_token": canaries.token(secrets.token_hex(16))}
    yield api.get("/nowhere", params=query)
    yield api.get("/users", params=query | {"skip": canaries.password()})
    headers = {"Content-Type": "application/json", "Cookie": f"session={canaries.password()}"}
    for content in ('{"password": "%s', '{"password": "%s", "password": 1}', '["%s"]', '{"password": "%s\\u0000"}'):
        yield api.post("/users", content=content % canaries.password(), headers=headers)
    yield api.post("/users", content=canaries.password(), headers={"Content-Type": "text/plain"})
