"""The workers, which render each pair into a media object and set its late flag; the autoscaler; the sweeper."""
