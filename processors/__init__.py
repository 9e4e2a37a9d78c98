"""The workers: render a pair into one media object, flag lateness, follow the queue depth."""
