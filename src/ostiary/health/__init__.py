"""Health, liveness and readiness: what probes ask. Never limited, therefore cheap. Owns no table."""
