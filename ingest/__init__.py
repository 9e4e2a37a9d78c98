"""The upload node: decides, receives a pair in one pass, commits it with one PUT, queues its jobs."""
