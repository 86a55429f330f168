"""What a controller gets to see of the plant: sensors, and an estimator that fills the gaps."""
