"""Renders a pair of photos into renditions: the render process, its slot in a worker, decoding and encoding."""
