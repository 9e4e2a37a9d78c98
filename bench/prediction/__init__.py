"""Predictions that are sealed before a run and scored after it, and what has been validated that way."""
