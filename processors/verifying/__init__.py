"""Verification of a moment: every object is read and compared with its digests, the index and the counts."""
