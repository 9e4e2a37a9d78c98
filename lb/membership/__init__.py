"""Which nodes exist and which of them answer: heartbeats, operator changes, snapshot, health checks."""
