"""Serving: the port, one server process, several of them, and what is said to whoever started them."""
