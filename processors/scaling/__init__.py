"""The number of workers: their pulses, the scaling decision, the leader election, and the pool of worker processes."""
