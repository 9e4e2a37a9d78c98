"""The job queue in Redis: enqueueing, claiming and settling jobs, over several Redis servers, in batches."""
