"""What a burst costs and needs: measured costs, prices, the plan of a region."""
