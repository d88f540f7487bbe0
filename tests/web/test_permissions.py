"""How rights compare (AD-4): over every two of them, superusers' included."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.web.caller import Caller
from ostiary.web.permissions import ALL_RIGHTS, NO_RIGHTS, PERMISSIONS, Rights

RIGHTS = st.builds(
    lambda is_superuser, granted: Rights.of(is_superuser=is_superuser, granted=granted),
    st.booleans(),
    st.sets(st.sampled_from([*PERMISSIONS, "unknown:permission"])),
)


@pytest.mark.rule("AD-4")
@given(RIGHTS, RIGHTS, RIGHTS)
def test_rights_cover_what_they_exceed(some: Rights, others: Rights, third: Rights) -> None:
    assert ALL_RIGHTS.covers(some)
    assert some.covers(NO_RIGHTS)
    assert some.covers(some)
    if not some.is_superuser:
        assert some.covers(others) == (not others.is_superuser and others.permissions <= some.permissions)
    if some.covers(others) and others.covers(third):
        assert some.covers(third)


@pytest.mark.rule("AD-4")
@given(RIGHTS, RIGHTS)
def test_what_is_left_within_bounds_exceeds_neither(some: Rights, bounds: Rights) -> None:
    left = some.within(bounds)
    assert some.covers(left)
    assert bounds.covers(left)
    assert left == bounds.within(some)
    assert all(left.may(name) == (some.may(name) and bounds.may(name)) for name in PERMISSIONS)


@given(RIGHTS)
def test_a_caller_may_what_his_rights_say(rights: Rights) -> None:
    caller = Caller(1, "session", rights.is_superuser, rights.permissions)
    assert caller.rights == rights
    assert all(caller.may(name) == rights.may(name) for name in PERMISSIONS)


def test_superusers_have_every_permission() -> None:
    assert ALL_RIGHTS.permissions == set(PERMISSIONS)
    assert NO_RIGHTS.permissions == set()
