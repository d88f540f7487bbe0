"""A server whose clock tests may move, as for sessions."""

from tests.sessions.conftest import moving_server

__all__ = ["moving_server"]
