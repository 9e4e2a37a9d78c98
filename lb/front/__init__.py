"""What stands before the first request: listening sockets, TLS, handover to a successor, several processes."""
