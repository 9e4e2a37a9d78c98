"""The path of one request: client connection, exchange, connection to a node, and what they share."""
