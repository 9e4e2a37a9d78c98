"""The balancer: which node serves this request, and the bytes both ways.

It could balance anything: it knows nothing of photos.
"""
