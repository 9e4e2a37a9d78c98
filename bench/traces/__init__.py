"""Traces of bursts: the file, a synthetic plan, and what balancers recorded. Bundled traces lie here too."""
