"""Numbers that the database gives out say nothing about time, and nothing rests on their being without gaps."""

import pytest

from ostiary.db.types import metadata

ORDER_MEANS = {
    "users": "a page's place: any order will do, as long as it stays",
    "mail_requests": "who is served first, about: all are served within moments, and none waits for another",
    "user_count_changes": "nothing: changes are sums",
}
"""Each table with such numbers, and what their order is taken for.

A distributed engine gives them out in blocks to each of its nodes, so that a later row may have a lower number; where
time matters there is a moment beside, or in the id.
"""


@pytest.mark.any_engine
def test_no_sequence_is_taken_for_the_order_of_time() -> None:
    import ostiary.app  # noqa: F401, PLC0415 - loads all tables

    numbered = {table.name for table in metadata.sorted_tables for column in table.c if column.identity is not None}
    assert numbered == ORDER_MEANS.keys()
