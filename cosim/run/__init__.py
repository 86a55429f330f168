"""From a scenario file to a record."""
