"""The job queue in Redis: how jobs get onto it, are claimed and settled, over several Redis, in batches."""
