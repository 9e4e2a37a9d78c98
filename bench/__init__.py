"""Traces of bursts, their replay over HTTP, and the check that nothing acknowledged was lost. HTTP only."""
