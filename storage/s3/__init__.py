"""The S3 store: `store.py` implements the port; the other modules are object calls, HTTP, signatures, credentials."""
