"""A burst once for each fault at its peak, at a real stack: what was lost, which metric saw it, how long it took."""
