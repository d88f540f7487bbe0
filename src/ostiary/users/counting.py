"""How many users there are in each stretch of ids, so that no list has to count them.

A block is a stretch of `BLOCK` ids, a group is `FAN_OUT` blocks; `user_counts` says how many users each has (level 0
and level 1). Whoever adds or removes users only appends to `user_count_changes`, in the same transaction, so writers
never wait for one another; `fold_counts` moves the changes into the counts now and then. Counts and outstanding
changes read in one snapshot are exact, folded or not. A row may be missing (nobody was ever there) or be zero.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from itertools import accumulate

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Identity,
    SmallInteger,
    Table,
    and_,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal,
    select,
    union_all,
)

from ostiary.db import read_committed
from ostiary.db.statements import insert_into
from ostiary.db.types import UserId, metadata
from ostiary.users.models import users

BLOCK = 512
"""Ids in a block: what a list skips row by row is less than this. Another number needs a migration that counts anew."""
FAN_OUT = 128
"""Blocks in a group: ten million ids are 153 groups, so a list reads about 300 small rows before its page."""

BLOCKS = 0
GROUPS = 1

user_counts = Table(
    "user_counts",
    metadata,
    Column("level", SmallInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("live", BigInteger, nullable=False),
    sqlite_with_rowid=False,  # a stretch of numbers lies together
)

user_count_changes = Table(
    "user_count_changes",
    metadata,
    Column("id", UserId, Identity(always=False), primary_key=True),
    Column("block", BigInteger, nullable=False),
    Column("change", BigInteger, nullable=False),
)


def note_added(connection: Connection, user_ids: Sequence[int]) -> None:
    """Count users that this transaction has added: one row for each block among them."""
    _append(connection, user_ids, 1)


def note_removed(connection: Connection, user_ids: Sequence[int]) -> None:
    """Count users that this transaction has removed; each must really have been there."""
    _append(connection, user_ids, -1)


def _append(connection: Connection, user_ids: Sequence[int], sign: int) -> None:
    blocks = Counter(user_id // BLOCK for user_id in user_ids)
    if blocks:
        rows = [{"block": block, "change": sign * count} for block, count in blocks.items()]
        connection.execute(insert(user_count_changes), rows)


@read_committed(why="it takes rows that nobody else changes, under locks, and adds their sums in one upsert")
def fold_counts(connection: Connection, *, limit: int) -> int:
    """Move up to `limit` of the oldest changes into the counts; answer how many there were.

    Several nodes may fold at once: each leaves alone what another has taken. SERIALIZABLE would make it and the
    writers it works beside fail one another.
    """
    changes = user_count_changes.c
    # Named apart: as a plain subquery PostgreSQL could run it again for every row, and lock other rows each time.
    taken = select(changes.id).order_by(changes.id).limit(limit).with_for_update(skip_locked=True).cte("taken")
    gone = connection.execute(
        delete(user_count_changes).where(changes.id.in_(select(taken.c.id))).returning(changes.block, changes.change)
    ).all()
    sums: Counter[tuple[int, int]] = Counter()
    for block, change in gone:
        sums[BLOCKS, block] += change
        sums[GROUPS, block // FAN_OUT] += change
    if sums:
        # In one order everywhere, or two who fold at once could each wait for a row of the other.
        rows = [{"level": level, "number": number, "live": sums[level, number]} for level, number in sorted(sums)]
        upsert = insert_into(connection, user_counts)
        upsert = upsert.on_conflict_do_update(
            index_elements=[user_counts.c.level, user_counts.c.number],
            set_={"live": user_counts.c.live + upsert.excluded.live},
        )
        connection.execute(upsert, rows)
    return len(gone)


def find_places(connection: Connection, skips: Collection[int]) -> tuple[int, dict[int, tuple[int, int]]]:
    """Answer how many users there are, and where each skip leads: the first id of a block, and how many to pass there.

    A skip beyond the last user leads nowhere and is left out. Two statements, whatever the number of skips.
    """
    groups, changes = _outline(connection)
    walk = _Walk(groups)
    found = {skip: place for skip in skips if (place := walk.find(skip)) is not None}
    in_groups: defaultdict[int, dict[int, int]] = defaultdict(dict)
    if found:
        needed = {group for group, _ in found.values()}
        for number, live in connection.execute(_BLOCKS_OF_GROUPS, {"groups": list(needed)}):
            in_groups[number // FAN_OUT][number] = live
        for block, change in changes.items():
            blocks = in_groups[block // FAN_OUT]
            blocks[block] = blocks.get(block, 0) + change
    walks = {group: _Walk(in_groups[group]) for group, _ in found.values()}
    places = {}
    for skip, (group, rest) in found.items():
        place = walks[group].find(rest)
        if place is None:
            raise RuntimeError(f"the blocks of group {group} hold fewer users than the group")
        block, left_out = place
        places[skip] = (block * BLOCK, left_out)
    return walk.total, places


def count_users(connection: Connection) -> int:
    """Answer how many users there are."""
    return find_places(connection, ())[0]


def are_counted(connection: Connection) -> bool:
    """Say whether the counts are those of the users; reads every user's id."""
    counted: Counter[int] = Counter()
    for number, live in connection.execute(select(user_counts.c.number, user_counts.c.live).where(_IS_BLOCK)):
        counted[number] += live
    _, changes = _outline(connection)
    counted.update(changes)
    block = users.c.id // BLOCK
    there: dict[int, int] = dict(connection.execute(select(block, func.count()).group_by(block)).tuples().all())
    return there == {number: live for number, live in counted.items() if live}


class _Walk:
    """Numbers in order, with how many users each holds."""

    def __init__(self, live: dict[int, int]) -> None:
        self._numbers = sorted(live)
        self._sums = list(accumulate(map(live.__getitem__, self._numbers), initial=0))

    @property
    def total(self) -> int:
        return self._sums[-1]

    def find(self, skip: int) -> tuple[int, int] | None:
        """Answer the number in which the user after `skip` others is, and how many to pass there."""
        if skip >= self.total:
            return None
        place = bisect_right(self._sums, skip) - 1
        return self._numbers[place], skip - self._sums[place]


def _outline(connection: Connection) -> tuple[dict[int, int], dict[int, int]]:
    """Answer how many users each group has, and the outstanding changes of blocks, which are in those numbers."""
    groups: Counter[int] = Counter()
    changes: dict[int, int] = {}
    for level, number, live in connection.execute(_OUTLINE):
        if level == GROUPS:
            groups[number] += live
        else:
            groups[number // FAN_OUT] += live
            changes[number] = live
    return groups, changes


_IS_BLOCK = user_counts.c.level == BLOCKS
_OUTLINE = union_all(
    select(user_counts.c.level, user_counts.c.number, user_counts.c.live).where(user_counts.c.level == GROUPS),
    select(
        literal(BLOCKS, SmallInteger),
        user_count_changes.c.block,
        cast(func.sum(user_count_changes.c.change), BigInteger),
    ).group_by(user_count_changes.c.block),
)
_group = user_counts.alias("group_")
_BLOCKS_OF_GROUPS = (
    select(user_counts.c.number, user_counts.c.live)
    .select_from(
        _group.join(
            user_counts,
            and_(
                user_counts.c.level == BLOCKS,
                user_counts.c.number >= _group.c.number * FAN_OUT,
                user_counts.c.number < (_group.c.number + 1) * FAN_OUT,
            ),
        )
    )
    .where(_group.c.level == GROUPS, _group.c.number.in_(bindparam("groups", expanding=True)))
)
