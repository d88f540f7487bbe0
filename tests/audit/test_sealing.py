"""The chain: every row gets one place, and whatever is done to a sealed row or to the end of the log shows (LA-3)."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress

import pytest
from sqlalchemy import Connection, select, update

from ostiary.audit import worker
from ostiary.audit.events import Event
from ostiary.audit.hot import PLACES
from ostiary.audit.models import audit_log
from ostiary.audit.sealing import verifying
from ostiary.audit.sealing.chain import Head, SealingKeys, link_of
from ostiary.audit.sealing.flows import reseal, seal, store_head, stored_head
from ostiary.crypto.secret import Secret
from tests.audit.places import ONE, TWO, Log, sealed_at_once


@pytest.mark.rule("LA-3")
def test_every_row_gets_one_place_in_the_order_of_time(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "SEALED_AT_ONCE", 4)
    monkeypatch.setattr(verifying, "PAGE", 3)
    assert log.findings() == []
    log.add(5)
    log.add_operators()
    assert log.seal() == 6
    log.clock.advance(seconds=1)
    log.add(4)
    assert log.seal() == 4
    assert log.seal() == 0
    rows = log.rows()
    assert [row.place for row in rows] == list(range(1, 11))
    assert [row.id for row in rows] == sorted(row.id for row in rows)
    log.sign()
    assert log.findings() == []


def test_sealers_at_once_place_every_row_once(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "SEALED_AT_ONCE", 7)
    log.add(60)
    assert sum(sealed_at_once(log, 4)) == 60
    assert [row.place for row in log.rows()] == list(range(1, 61))
    assert log.findings() == []


@pytest.mark.rule("LA-3")
def test_a_sealer_that_is_killed_leaves_nothing_half_done(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    log.add(3)
    log.seal()
    log.add(3)

    def killed(*_: object, **__: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr("ostiary.audit.sealing.flows.store_head", killed)
        with pytest.raises(RuntimeError):
            log.seal()
    assert [row.place for row in log.rows()].count(None) == 3
    assert log.findings() == []
    assert len(log.rows()) == 6


CHANGES: dict[str, tuple[str, tuple[object, ...]]] = {
    "event": ("UPDATE audit_log SET event = ? WHERE place = 4", ("login_failed",)),
    "moment": ("UPDATE audit_log SET at = at - 1 WHERE place = 4", ()),
    "actor": ("UPDATE audit_log SET actor_id = NULL WHERE place = 4", ()),
    "user": ("UPDATE audit_log SET user_id = 70 WHERE place = 4", ()),
    "origin": ("UPDATE audit_log SET origin = ? WHERE place = 4", ("system",)),
    "request": ("UPDATE audit_log SET request_id = ? WHERE place = 4", ("other",)),
    "details": ("UPDATE audit_log SET details = ? WHERE place = 4", ("{}",)),
    "address": ("UPDATE audit_log SET address = ? WHERE place = 4", ("198.51.100.1",)),
    "browser": ("UPDATE audit_log SET user_agent = ? WHERE place = 4", ("another",)),
    "address without its salt": ("UPDATE audit_log SET salt = NULL WHERE place = 4", ()),
    "digest": ("UPDATE audit_log SET personal_digest = ? WHERE place = 4", (bytes(32),)),
    "id": ("UPDATE audit_log SET id = ? WHERE place = 4", ("0" * 32,)),
}


@pytest.mark.any_engine
@pytest.mark.rule("LA-3")
@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_row_is_named(log: Log, what: str) -> None:
    log.add(8)
    log.seal()
    statement, values = CHANGES[what]
    log.tamper(statement, *values)
    [finding] = log.findings()
    row = log.rows()[3]
    assert finding == f"place 4 ({row.event}, {row.at.isoformat()[:19]}, id {row.id}): the row is not as it was sealed"


@pytest.mark.rule("LA-3")
def test_a_removed_row_is_named(log: Log) -> None:
    log.add(8)
    log.seal()
    log.tamper("DELETE FROM audit_log WHERE place = 4")
    assert log.findings() == ["place 4 is missing"]
    log.tamper("DELETE FROM audit_log WHERE place IN (5, 6)")
    assert log.findings() == ["places 4 to 6 are missing"]
    log.tamper("DELETE FROM audit_log WHERE place IN (1, 8)")
    assert log.findings() == ["place 1 is missing", "places 4 to 6 are missing", "place 8 is missing, at the end"]


@pytest.mark.any_engine
def test_a_row_taken_out_of_the_chain_is_missing_from_its_place(log: Log) -> None:
    log.add(5)
    log.seal()
    log.tamper("UPDATE audit_log SET place = NULL, link = NULL WHERE place = 2")
    assert log.findings() == ["place 2 is missing"]
    assert log.findings() == ["place 2 is missing"], "also after it got a new place"


@pytest.mark.any_engine
@pytest.mark.rule("LA-3")
def test_rows_that_changed_places_are_named(log: Log) -> None:
    log.add(6)
    log.seal()
    second, third = log.rows()[1:3]
    log.tamper("UPDATE audit_log SET place = 100 WHERE place = 2")
    log.tamper("UPDATE audit_log SET place = 2, link = ? WHERE place = 3", second.link)
    log.tamper("UPDATE audit_log SET place = 3, link = ? WHERE place = 100", third.link)
    assert [finding.partition(" (")[0] for finding in log.findings()] == ["place 2", "place 3"]


@pytest.mark.any_engine
@pytest.mark.rule("LA-3")
def test_a_row_slipped_in_is_named(log: Log) -> None:
    log.add(4)
    log.seal()
    copy = "INSERT INTO audit_log (id, at, event, origin, request_id, details, personal_digest, place, link) "
    copy += "SELECT ?, at, event, origin, request_id, details, personal_digest, ?, link FROM audit_log WHERE place = 2"
    log.tamper("UPDATE audit_log SET place = place + 100 WHERE place > 2")
    log.tamper("UPDATE audit_log SET place = place - 99 WHERE place > 100")
    log.tamper(copy, "f" * 32, 3)
    found = log.findings()
    assert "places 5 to 5: rows beyond the sealed head" in found[0]
    assert [finding.partition(" (")[0] for finding in found[1:3]] == ["place 3", "place 4"]


@pytest.mark.any_engine
def test_rows_before_the_beginning_are_named(log: Log) -> None:
    log.add(4)
    log.seal()
    log.tamper("UPDATE audit_log SET place = 0 WHERE place = 1")
    assert log.findings() == ["1 rows before the beginning of the chain: they were slipped in", "place 1 is missing"]


@pytest.mark.rule("LA-3")
def test_a_cut_off_end_is_named(log: Log) -> None:
    log.add(8)
    log.seal()
    log.tamper("DELETE FROM audit_log WHERE place > 5")
    assert log.findings() == ["places 6 to 8 are missing, at the end"]
    log.add(2)
    assert log.findings() == ["places 6 to 8 are missing"], "what comes later hides nothing"


def rewrite(connection: Connection) -> None:
    """Change a row and all links from it on, as somebody does who knows how the chain is made, but not the secret."""
    connection.execute(update(audit_log).where(audit_log.c.place == 3).values(details='{"number":99}'))
    link = connection.execute(select(audit_log.c.link).where(audit_log.c.place == 2)).scalar_one()
    for row in connection.execute(select(audit_log).where(audit_log.c.place > 2).order_by(audit_log.c.place)).all():
        link = link_of(link, row, row.place)  # type: ignore[arg-type] # a row of the same columns
        connection.execute(update(audit_log).where(audit_log.c.id == row.id).values(link=link))


@pytest.mark.rule("LA-3")
def test_a_chain_written_anew_does_not_lead_to_the_sealed_head(log: Log) -> None:
    log.add(3)
    log.seal()
    log.sign()
    log.add(3)
    log.seal()
    log.write(rewrite)
    row = log.rows()[2]
    name = f"place 3 (login_succeeded, {row.at.isoformat()[:19]}, id {row.id})"
    signed_at = json.loads(log.file.read_text())["at"]
    saw = f"{name}: the checkpoint of {signed_at} saw another row here"
    assert log.findings() == [
        saw,
        "place 6: the chain does not end in its sealed head; a row before was changed",
    ]
    log.add(2)
    [_, finding] = log.findings()
    assert finding.startswith("place 7 ("), "the end of what was written anew"


@pytest.mark.any_engine
@pytest.mark.rule("LA-3")
@pytest.mark.parametrize("how", ["head", "seal", "key"])
def test_a_forged_head_is_found_and_never_sealed_over(log: Log, how: str) -> None:
    log.add(6)
    log.seal()
    log.write(rewrite)
    last = log.rows()[-1].link
    if how == "key":
        log.tamper("UPDATE audit_chain SET link = ?, sealed_with = ?", last, "0" * 32)
    elif how == "seal":
        forged = SealingKeys(Secret(TWO)).seal_head(Head(6, last or b""))
        log.tamper("UPDATE audit_chain SET link = ?, seal = ?", last, forged)
    else:
        log.tamper("UPDATE audit_chain SET link = ?", last)
    assert log.findings() == ["the head of the chain has a seal that is not ours: it was changed"]
    log.add(1)
    [finding] = log.findings()
    assert "place 7 (audit_chain_broken" in finding, "on record now, before anything else"
    assert json.loads(finding.partition("then: ")[2]) == {"place": 6, "highest_place": 6}
    log.add(2)
    assert log.findings() == [finding], "once"


@pytest.mark.rule("LA-3")
def test_an_older_head_put_back_is_found(log: Log) -> None:
    log.add(4)
    log.seal()
    before = log.write(stored_head)
    log.add(3)
    log.seal()
    assert before is not None
    log.write(store_head, before.head, log.keys, now=log.clock.now())
    [finding] = log.findings()
    assert finding.startswith("places 5 to 7: rows beyond the sealed head")
    log.add(1)
    [finding] = log.findings()
    assert "place 8 (audit_chain_broken" in finding


@pytest.mark.any_engine
@pytest.mark.rule("LA-3")
def test_a_head_that_is_gone_is_found(log: Log) -> None:
    log.add(4)
    log.seal()
    log.tamper("DELETE FROM audit_chain")
    assert log.findings() == ["the head of the chain is gone, though there are sealed rows"]
    log.add(1)
    [finding] = log.findings()
    assert "place 5 (audit_chain_broken" in finding


@pytest.mark.rule("LA-3")
def test_an_older_copy_of_the_whole_log_is_told_by_the_checkpoints(log: Log) -> None:
    log.add(4)
    log.seal()
    log.sign()
    older = log.write(stored_head)
    assert older is not None
    log.add(3)
    log.seal()
    log.sign()
    log.tamper("DELETE FROM audit_log WHERE place > 4")
    log.write(store_head, older.head, log.keys, now=log.clock.now())
    [finding] = log.findings()
    assert finding.startswith("places 5 to 7 are gone: the checkpoint of ")
    log.add(5)
    [finding] = log.findings()
    assert finding.startswith("place 7 ("), "also when the log has grown past them"
    assert "saw another row here" in finding


@pytest.mark.any_engine
def test_checkpoints_are_checked_themselves(log: Log) -> None:
    log.add(3)
    log.seal()
    log.sign()
    log.sign()
    first, second = log.file.read_text().splitlines()
    moved = second.replace('"place":3', '"place":2')
    foreign = second.replace(log.keys.current, "0" * 32)
    log.file.write_text(f'{first}\n{moved}\n{{"at":1}}\n{foreign}\n{second}\n{{"at":"20')
    assert log.findings() == [
        "checkpoints, line 2: has a seal that is not ours",
        "checkpoints, line 3: is no checkpoint",
    ]
    log.sign()
    assert len(log.findings()) == 2, "a line that a crash cut off is no finding, also with another behind it"
    assert json.loads(log.file.read_text().splitlines()[-1])["place"] == 3


@pytest.mark.any_engine
def test_checkpoints_are_for_their_owner_alone(log: Log) -> None:
    log.add(1)
    log.seal()
    log.sign()
    assert log.file.stat().st_mode & 0o777 == 0o600


@pytest.mark.rule("LA-3")
def test_seals_survive_a_change_of_the_secret(log: Log) -> None:
    log.add(3)
    log.seal()
    log.sign()
    log.keys = SealingKeys(Secret(TWO, [ONE]))
    assert log.findings() == []
    log.write(reseal, log.keys, now=log.clock.now())
    log.keys = SealingKeys(Secret(TWO))
    assert log.findings() == [], "the checkpoint of the old secret cannot be checked any more, and is no finding"
    log.add(2)
    assert log.findings() == []
    log.keys = SealingKeys(Secret(ONE))
    assert log.findings() == ["the head of the chain has a seal that is not ours: it was changed"]


@pytest.mark.any_engine
def test_a_head_that_was_not_ours_is_not_sealed_anew_with_the_secret(log: Log) -> None:
    log.add(3)
    log.seal()
    log.tamper("UPDATE audit_chain SET place = 2")
    log.write(reseal, SealingKeys(Secret(TWO, [ONE])), now=log.clock.now())
    assert any("a seal that is not ours" in finding for finding in log.findings())


def test_places_in_text_are_what_they_would_be_in_words(log: Log) -> None:
    log.add(3)
    first, second, third = log.rows()

    def in_text(connection: Connection) -> None:
        PLACES.run(connection, [(second.id, 1, b"x" * 32), (first.id, 2, b"y" * 32)])

    log.write(in_text)
    assert log.rows() == [
        third,
        second._replace(place=1, link=b"x" * 32),
        first._replace(place=2, link=b"y" * 32),
    ]


@pytest.mark.any_engine
def test_a_log_that_another_release_broke_does_not_stop_acts(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sealing is beside the acts: whatever happens to it, rows are recorded, and sealed later."""
    log.add(2)

    def broken(*_: object, **__: object) -> Callable[..., None]:
        raise sqlite3.OperationalError("planted")

    with monkeypatch.context() as patch, suppress(sqlite3.OperationalError):
        patch.setattr("ostiary.audit.sealing.flows.link_of", broken)
        log.seal()
    log.add(2)
    assert log.findings() == []
    with closing(sqlite3.connect(str(log.settings.sqlite_file))) as connection:
        assert connection.execute("SELECT count(*) FROM audit_log WHERE event = ?", (Event.LOGIN_SUCCEEDED,)).fetchone()
    assert log.write(seal, log.keys, limit=10, now=log.clock.now()) == 0
