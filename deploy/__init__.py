"""Runs the whole stack on one machine: starts the other packages as processes and restarts those that end."""
