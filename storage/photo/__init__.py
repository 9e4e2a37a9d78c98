"""Which photos are accepted and what rendering them costs, by header alone: the rules that nodes and workers share."""
