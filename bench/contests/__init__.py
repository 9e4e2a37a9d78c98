"""The benches of a table: each is a program, sets ours beside its peers, and writes `bench/results/NAME.json`."""
