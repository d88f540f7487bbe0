"""The runbook: the lines for what no alert sees are typed as they stand, beside a running server."""

from pathlib import Path

from tests.docs.typed import typed

PAGE = "docs/runbook.md"
PEOPLE = """
echo 'a-passphrase-of-your-own' | ostiary user create --email admin@example.com --username admin \\
    --superuser --password-stdin
echo 'another-passphrase-of-hers' | ostiary user create --email ann@example.com --username ann --password-stdin
"""
"""Whom the page speaks of."""


def test_what_the_runbook_types_does_what_it_says(tmp_path: Path) -> None:
    printed = typed(PAGE, tmp_path, before=PEOPLE)
    for expected in (
        "backup-missing-or-old",
        "User 2 (ann@example.com, ann) is mailed a link to choose a new password by.",
        "password_reset_started   operator",
        " signs from now on.",
        " is restored: 2 users, as of ",
        "/restored/ostiary.db: schema version",
        "Nothing is to be done.",
        "is up to date",
        '"status":"healthy"',
    ):
        assert expected in printed, printed
