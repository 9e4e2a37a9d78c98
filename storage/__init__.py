"""Stored data: records, keys, the intake and media ZIPs, the two blob stores, the Redis index and the job queue."""
