"""The plant: OpenDSS, and nothing else knows it."""
