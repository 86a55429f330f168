"""A controller's own copy of the feeder: what it needs to predict the plant without asking it."""
