"""A burst in virtual time, through the project's own rules."""
