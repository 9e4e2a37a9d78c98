"""What a photo may be and what rendering it costs: the rules that nodes and workers share, by its header alone."""
