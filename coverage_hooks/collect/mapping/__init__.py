"""Which file of the checkout each measured path is."""
