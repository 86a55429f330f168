"""Dispatch by many controllers, each of which knows one area of the feeder."""
