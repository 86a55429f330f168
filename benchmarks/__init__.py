"""Measurements behind the numbers of the documentation."""
