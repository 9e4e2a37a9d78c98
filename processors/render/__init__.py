"""A pair of photos in, renditions out: the render process, its slot in a worker, and the pictures themselves."""
