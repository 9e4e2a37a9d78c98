"""Traces of bursts, their replay over HTTP, and the check that no acknowledged upload was lost. HTTP only."""
