"""What things are: values and protocols, numpy only."""
