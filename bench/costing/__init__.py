"""What a pair costs in every tier and phase, measured: `make bench`, which writes `bench/results/costs.json`."""
