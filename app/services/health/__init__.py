"""The state of the service: readiness, health checks, metrics."""
