"""Refreshing: rotation, retries and replays, through HTTP."""

import httpx
import pytest

from tests.people import refresh, signed_in


@pytest.mark.rule("TK-4")
def test_a_refresh_answers_a_new_pair_and_spends_the_old_token(client: httpx.Client) -> None:
    person = signed_in(client)
    answer = refresh(client, person.refresh_token)
    assert answer.status_code == 200
    assert list(answer.json()) == ["access_token", "refresh_token", "token_type"]
