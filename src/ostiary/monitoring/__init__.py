"""Metrics for Prometheus: what is asked for is read together here and written as text, on a port or behind a token."""
