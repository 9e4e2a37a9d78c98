"""The benches that compare ours with peers: each is a program that prints a table and writes it to `bench/results/`."""
