"""The balancer beside HAProxy and nginx: the same sink, the same load, the same key, in turn, as ratios of one run."""
