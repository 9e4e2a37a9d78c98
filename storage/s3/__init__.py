"""The S3 store: `store.py` is the port's implementation; below it one object's calls, HTTP, signatures and keys."""
