"""Work in the background says how it went, in figures and in the log."""

import io
import json
from pathlib import Path

import pytest
import structlog

from ostiary.logs import REQUEST_ID, configure_logging
from ostiary.metrics.figures import Jobs
from tests.clock import FakeClock
from tests.conftest import settings_for_tests
from tests.test_logs import logging_as_it_was


def test_rounds_are_counted_by_how_they_went() -> None:
    clock = FakeClock()
    jobs, begun = Jobs(clock), clock.now().timestamp()
    for result in ("postponed", "failed"):
        with jobs.round("mail") as current:
            clock.advance(seconds=2)
            current.result = result
    [(name, job)] = jobs.all()
    assert (name, job.last_success) == ("mail", begun)
    with jobs.round("mail"):
        clock.advance(seconds=2)
    assert job.runs == {"done": 1, "postponed": 1, "failed": 1}
    assert job.seconds == 6
    assert job.last_success == clock.now().timestamp()


def test_a_round_that_is_cut_off_has_failed() -> None:
    jobs = Jobs(FakeClock())
    with pytest.raises(KeyboardInterrupt), jobs.round("mail"):
        raise KeyboardInterrupt
    [(_, job)] = jobs.all()
    assert job.runs["failed"] == 1


@pytest.mark.rule("LA-1")
def test_lines_of_a_job_name_it_and_no_request(tmp_path: Path) -> None:
    stream, jobs = io.StringIO(), Jobs(FakeClock())
    with logging_as_it_was():
        configure_logging(settings_for_tests(tmp_path, None, log_format="json"), stream)
        with jobs.round("mail"):
            structlog.get_logger().warning("mail_held_up", reason="away")
        structlog.get_logger().warning("of_nobody")
        token = REQUEST_ID.set("request-1")
        structlog.get_logger().warning("of_a_request")
        REQUEST_ID.reset(token)
    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["event"], line.get("job"), line.get("request_id")) for line in told] == [
        ("mail_held_up", "mail", None),
        ("of_nobody", None, None),
        ("of_a_request", None, "request-1"),
    ]
