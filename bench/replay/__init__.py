"""The replay of a trace: sends it open loop, waits until all posts are ready, checks, reports and draws it."""
