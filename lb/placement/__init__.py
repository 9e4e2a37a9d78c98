"""Which node serves a request: the ring, the policies, health, load and retries; no sockets, no clock."""
