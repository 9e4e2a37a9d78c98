"""HTTP/1.1 as values: heads, bodies, tickets and keys; no sockets, no clock, no nodes."""
