"""The checks before a moment: go or no-go. See deploy/README.md."""
