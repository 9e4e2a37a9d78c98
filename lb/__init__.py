"""The balancer: chooses a node for each request and streams the bytes both ways.

It can be used alone, before any HTTP/1.1 servers: it knows nothing of photos.
"""
