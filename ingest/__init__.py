"""The upload node: admits an upload, receives the pair in one pass, commits it with one PUT, queues its jobs."""
