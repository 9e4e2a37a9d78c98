"""Two sides of replays compared: which is worse, as far as so few runs can tell."""
