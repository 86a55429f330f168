"""Closed-loop validation of battery dispatch on distribution feeders."""
