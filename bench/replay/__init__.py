"""The replay of a trace: sent open loop, looked after until all is ready, checked, reported and drawn."""
